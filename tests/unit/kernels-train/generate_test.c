/* Choosing tokens: the shares are those of the softmax, within the likeliest k, and the same for the same seed. */
#include "kernels/train/generate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { N = 5, DRAWS = 40000 };

static const float scores[N] = {0.5f, 2, -1, 2, 1};

/* Chi square of DRAWS choices against softmax(score / t) over those that `in` marks. */
static double chi_square(double t, int top_k, const int in[N])
{
    int count[N] = {0};
    float work[N];
    double sum = 0, chi = 0;
    for (int i = 0; i < DRAWS; i++)
        count[generate_choose(scores, N, t, top_k, 7, (uint64_t)i, work)]++;
    for (int i = 0; i < N; i++)
        sum += in[i] ? exp((double)scores[i] / t) : 0;
    for (int i = 0; i < N; i++) {
        double want = in[i] ? exp((double)scores[i] / t) / sum * DRAWS : 0;
        if (!in[i])
            assert_int_equal(count[i], 0);
        else
            chi += (count[i] - want) * (count[i] - want) / want;
    }
    return chi;
}

static void shares_are_those_of_the_softmax(void **state)
{
    (void)state;
    /* 4 degrees of freedom: above 23.5 once in 10,000; the seed is fixed, so this always passes or never */
    assert_true(chi_square(1, 0, (const int[]){1, 1, 1, 1, 1}) < 23.5);
    assert_true(chi_square(0.5, 0, (const int[]){1, 1, 1, 1, 1}) < 23.5);
    assert_true(chi_square(2, 3, (const int[]){0, 1, 0, 1, 1}) < 23.5);
    assert_true(chi_square(1, 99, (const int[]){1, 1, 1, 1, 1}) < 23.5);
}

static void ties_at_the_edge_are_taken_from_the_front(void **state)
{
    (void)state;
    float work[N];
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(generate_choose(scores, N, 1, 1, 3, i, work), 1);
        assert_int_equal(generate_choose(scores, N, 0, 0, 3, i, work), 1);
    }
}

static void the_same_seed_chooses_the_same(void **state)
{
    (void)state;
    float work[N];
    int differ = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int a = generate_choose(scores, N, 1, 0, 11, i, work);
        assert_int_equal(a, generate_choose(scores, N, 1, 0, 11, i, work));
        differ += a != generate_choose(scores, N, 1, 0, 12, i, work);
    }
    assert_true(differ > 20);
}

static void scores_that_are_not_finite_do_no_harm(void **state)
{
    (void)state;
    float work[3];
    const float some[] = {NAN, -3, -INFINITY}, none[] = {NAN, NAN, NAN}, over[] = {1, INFINITY, 2};
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(generate_choose(some, 3, 1, 2, 1, i, work), 1);
        assert_in_range(generate_choose(none, 3, 1, 2, 1, i, work), 0, 2);
        assert_int_equal(generate_choose(over, 3, 1, 0, 1, i, work), 1);
    }
}

static void text_becomes_tokens_and_back(void **state)
{
    (void)state;
    char a[] = "a", e[] = "\xc3\xa9", b[] = "b", *tokens[] = {a, e, b};
    struct dataset_info info = {.token_unit = TOKENS_CHARACTERS, .vocabulary = 3, .tokens = tokens};
    struct err err = {0};
    struct buf out = {0};
    size_t n;
    int32_t *t = generate_tokens(&info,
                                 "b\xc3\xa9"
                                 "a",
                                 &n, &err);
    assert_non_null(t);
    assert_true(n == 3 && t[0] == 2 && t[1] == 1 && t[2] == 0);
    for (size_t i = 0; i < n; i++)
        generate_text(&info, t[i], &out);
    assert_string_equal(buf_str(&out), "b\xc3\xa9"
                                       "a");
    free(t);
    assert_null(generate_tokens(&info, "abz", &n, &err));
    assert_non_null(strstr(err.text, "byte 2"));
    info = (struct dataset_info){.token_unit = TOKENS_IDS, .vocabulary = 100};
    t = generate_tokens(&info, "5 99, 0", &n, &err);
    assert_true(t && n == 3 && t[1] == 99 && t[2] == 0);
    free(t);
    assert_null(generate_tokens(&info, "5 100", &n, &err));
    assert_null(generate_tokens(&info, "five", &n, &err));
    info = (struct dataset_info){.token_unit = TOKENS_BYTES, .vocabulary = 256};
    t = generate_tokens(&info, "\xff", &n, &err);
    assert_true(t && n == 1 && t[0] == 255);
    free(t);
    t = generate_tokens(&info, "", &n, &err);
    assert_true(t && n == 0);
    free(t);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_the_softmax),
        cmocka_unit_test(ties_at_the_edge_are_taken_from_the_front),
        cmocka_unit_test(the_same_seed_chooses_the_same),
        cmocka_unit_test(scores_that_are_not_finite_do_no_harm),
        cmocka_unit_test(text_becomes_tokens_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
