#include "base/file.h"
#include "kernels/verify/checks.h"
#include "kernels/verify/probe.h"

#define CURVE_POINTS   100
#define STEPS_AN_EPOCH 100 /* what the curve assumes; only its shape depends on it */

static void write_curve(const struct algorithm *a, struct buf *out)
{
    int64_t total = a->epochs * STEPS_AN_EPOCH, last = -1;
    buf_printf(out, "{\"steps_per_epoch\":%d,\"points\":[", STEPS_AN_EPOCH);
    for (int64_t i = 0; i <= CURVE_POINTS; i++) {
        int64_t step = (total - 1) / CURVE_POINTS * i + (total - 1) % CURVE_POINTS * i / CURVE_POINTS;
        if (step == last)
            continue;
        buf_printf(out, "%s[%lld,", last < 0 ? "" : ",", (long long)step);
        buf_json_num(out, trainer_learning_rate(a, step, STEPS_AN_EPOCH, total));
        buf_putc(out, ']');
        last = step;
    }
    buf_puts(out, "]}");
}

static void write_summary(struct verification *v, const struct algorithm *a)
{
    struct buf *out = &v->summary;
    buf_puts(out, "{\"name\":");
    buf_json_str(out, a->name);
    buf_printf(out, ",\"loss\":\"%s\",\"optimizer\":\"%s\",\"schedule\":\"%s\",\"learning_rate\":",
               loss_name(a->loss.type), optimizer_name(a->optimizer.type), schedule_name(a->schedule.type));
    buf_json_num(out, a->optimizer.learning_rate);
    buf_printf(out, ",\"batch_size\":%lld,\"epochs\":%lld,\"metrics\":[", (long long)a->batch_size,
               (long long)a->epochs);
    for (int i = 0; i < a->metric_count; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", metric_name(a->metrics[i]));
    buf_puts(out, "],\"curve\":");
    write_curve(a, out);
    buf_puts(out, ",\"algorithm\":");
    algorithm_write_json(a, out);
    buf_putc(out, '}');
}

int verify_algorithm_file(struct verification *v, struct err *err)
{
    struct buf text = {0};
    struct algorithm a;
    int rc = file_read(v->o->file, ALGORITHM_FILE_MAX, &text, err);
    if (!rc && algorithm_parse(buf_str(&text), text.len, v->o->set, v->o->set_count, &a, &v->f) == 0) {
        check_passed(v, "algorithm.syntax", "valid JSON of format trainyard.algorithm/1");
        check_passed(v, "algorithm.members", "every member is known and none is missing");
        check_passed(v, "algorithm.values", "every value is within its limits");
        trainer_probe_algorithm(&a, &v->f);
        check_passed(v, "algorithm.run", "%s ran some steps with finite values",
                     optimizer_name(a.optimizer.type));
        if (!findings_failed(&v->f))
            check_passed(v, "algorithm.converges", "the loss falls on a small problem");
        findings_locate(&v->f, buf_str(&text), text.len);
        write_summary(v, &a);
    }
    buf_free(&text);
    return rc;
}
