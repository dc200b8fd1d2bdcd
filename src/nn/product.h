/* A product of small matrices by the calling thread alone: no memory of its own, no primitive to plan. */
#ifndef AGN_NN_PRODUCT_H
#define AGN_NN_PRODUCT_H

#include <stddef.h>

/* c (m, n) += scale * a (m, k) b (k, n). Rows of b and c are contiguous and their strides, in floats, are
 * b_row and c_row; element (i, j) of a is a[i * a_row + j * a_column], so that either order will do. c
 * overlaps neither a nor b. */
struct agn__product {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_column;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row;
    float scale;
};

void agn__product_add(const struct agn__product *product);

#endif
