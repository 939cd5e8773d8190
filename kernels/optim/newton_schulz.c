#include "kernels/optim/optimizer_loops.h"

#include <math.h>
#include <string.h>
#ifdef HAVE_ONEDNN
#include <dnnl.h>
#endif
#include "kernels/optim/vector.h"

#ifdef HAVE_ONEDNN
void product(bool transposed, size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
             float beta, float *c)
{
    dnnl_sgemm('N', transposed ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, alpha, a,
               (dnnl_dim_t)k, b, transposed ? (dnnl_dim_t)k : (dnnl_dim_t)n, beta, c, (dnnl_dim_t)n);
}
#else
enum { BLOCK = 64 }; /* rows of b that stay in the cache */

VECTOR_CLONES static void add_row(float *restrict c, const float *restrict b, size_t n, float x)
{
    for (size_t j = 0; j < n; j++)
        c[j] += x * b[j];
}

static float dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

void product(bool transposed, size_t m, size_t n, size_t k, float alpha, const float *a, const float *b,
             float beta, float *c)
{
    for (size_t i = 0; i < m * n; i++)
        c[i] = beta == 0 ? 0 : beta * c[i];
    for (size_t i = 0; transposed && i < m; i++)
        for (size_t j = 0; j < n; j++)
            c[i * n + j] += alpha * dot(a + i * k, b + j * k, k);
    for (size_t from = 0; !transposed && from < k; from += BLOCK)
        for (size_t i = 0; i < m; i++)
            for (size_t p = from; p < from + BLOCK && p < k; p++)
                add_row(c + i * n, b + p * n, n, alpha * a[i * k + p]);
}
#endif

static void transpose(const float *from, size_t rows, size_t columns, float *to)
{
    for (size_t i = 0; i < rows; i += 16)
        for (size_t j = 0; j < columns; j++)
            for (size_t r = i; r < i + 16 && r < rows; r++)
                to[j * rows + r] = from[r * columns + j];
}

/* With A = X X^T: X <- a X + (b A + c A^2) X, on the matrix's shorter side. The coefficients let singular values rise fast to between
 * about 0.7 and 1.2, not exactly to 1. */
void newton_schulz(float *x, size_t rows, size_t columns, int steps, float *turned, float *square,
                   float *work)
{
    static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    bool tall = rows > columns;
    size_t m = tall ? columns : rows, n = tall ? rows : columns, all = rows * columns;
    double norm = sqrt(optimizer_sum_of_squares(x, all));
    float scale = (float)(1 / (norm > 1e-7 ? norm : 1e-7));
    float *from = x, *to = turned;
    for (size_t i = 0; i < all; i++)
        x[i] *= scale;
    if (tall) {
        transpose(x, rows, columns, turned);
        from = turned;
        to = x;
    }
    for (int i = 0; i < steps; i++) {
        product(true, m, m, n, 1, from, from, 0, square);
        memcpy(work, square, m * m * sizeof(float));
        product(false, m, m, m, c, square, square, b, work);
        memcpy(to, from, all * sizeof(float));
        product(false, m, n, m, 1, work, from, a, to);
        float *swap = from;
        from = to;
        to = swap;
    }
    if (tall) { /* the result is (columns, rows) wherever it is */
        if (from == x) {
            memcpy(turned, x, all * sizeof(float));
            from = turned;
        }
        transpose(from, columns, rows, x);
    } else if (from != x) {
        memcpy(x, from, all * sizeof(float));
    }
}
