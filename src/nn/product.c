/* Products of small matrices. See product.h. Four rows of c take in four rows of b at a time: sixteen
 * multiplications for each four values loaded and four stored, in vectors along the rows. */
#include "nn/product.h"

#include "agilenn/vector.h"

enum { TILE = 4 };

/* c (TILE rows) += a (TILE, TILE) b (TILE rows) */
AGN_INLINE void add_4x4(const float *a, const float *restrict b, size_t b_row, float *restrict c0,
                        float *restrict c1, float *restrict c2, float *restrict c3, size_t n)
{
    const float *restrict b1 = b + b_row, *restrict b2 = b1 + b_row, *restrict b3 = b2 + b_row;
    for (size_t j = 0; j < n; j++) {
        c0[j] += a[0] * b[j] + a[1] * b1[j] + a[2] * b2[j] + a[3] * b3[j];
        c1[j] += a[4] * b[j] + a[5] * b1[j] + a[6] * b2[j] + a[7] * b3[j];
        c2[j] += a[8] * b[j] + a[9] * b1[j] + a[10] * b2[j] + a[11] * b3[j];
        c3[j] += a[12] * b[j] + a[13] * b1[j] + a[14] * b2[j] + a[15] * b3[j];
    }
}

/* c (a row) += a (1, TILE) b (TILE rows) */
AGN_INLINE void add_1x4(const float *a, const float *restrict b, size_t b_row, float *restrict c, size_t n)
{
    const float *restrict b1 = b + b_row, *restrict b2 = b1 + b_row, *restrict b3 = b2 + b_row;
    for (size_t j = 0; j < n; j++)
        c[j] += a[0] * b[j] + a[1] * b1[j] + a[2] * b2[j] + a[3] * b3[j];
}

AGN_INLINE void add_1x1(float a, const float *restrict b, float *restrict c, size_t n)
{
    for (size_t j = 0; j < n; j++)
        c[j] += a * b[j];
}

/* Rows i to i + rows - 1 of c, TILE of them at most. */
AGN_INLINE void add_rows(const struct agn__product *p, size_t i, size_t rows)
{
    float a[TILE * TILE];
    float *c = p->c + i * p->c_row;
    size_t full = p->k / TILE * TILE;
    for (size_t q = 0; q < full; q += TILE) {
        const float *b = p->b + q * p->b_row;
        for (size_t r = 0; r < rows; r++)
            for (size_t s = 0; s < TILE; s++)
                a[r * TILE + s] = p->scale * p->a[(i + r) * p->a_row + (q + s) * p->a_column];
        if (rows == TILE)
            add_4x4(a, b, p->b_row, c, c + p->c_row, c + 2 * p->c_row, c + 3 * p->c_row, p->n);
        for (size_t r = 0; rows < TILE && r < rows; r++)
            add_1x4(a + r * TILE, b, p->b_row, c + r * p->c_row, p->n);
    }
    for (size_t q = full; q < p->k; q++) {
        for (size_t r = 0; r < rows; r++) {
            add_1x1(p->scale * p->a[(i + r) * p->a_row + q * p->a_column], p->b + q * p->b_row,
                    c + r * p->c_row, p->n);
        }
    }
}

AGN_SIMD static void add_all(const struct agn__product *p)
{
    size_t full = p->m / TILE * TILE;
    for (size_t i = 0; i < full; i += TILE)
        add_rows(p, i, TILE);
    if (full < p->m)
        add_rows(p, full, p->m - full);
}

void agn__product_add(const struct agn__product *product)
{
    add_all(product);
}
