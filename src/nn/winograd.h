/* 3x3 convolutions by Winograd's F(2x2, 3x3) (Lavin & Gray 2016): 2.25 times fewer multiplications.
 *
 * The result is cut into tiles of 2x2, which see 4x4 of the source: y = A^T [(G g G^T) . (B^T d B)] A. What
 * is multiplied element by element becomes, over channels and tiles, 16 matrix products. Results differ from
 * those of a direct convolution by rounding: about 1e-6 of their size. */
#ifndef AGN_NN_WINOGRAD_H
#define AGN_NN_WINOGRAD_H

#include "nn/onednn.h"

struct agn__winograd;

/* Is a pass faster this way, on this processor, for the calling thread's number of threads? */
bool agn__winograd_suits(const struct agn__conv_config *config);
int agn__winograd_create(const struct agn__conv_config *config, struct agn__winograd **winograd);
void agn__winograd_free(struct agn__winograd *winograd);

/* As agn__conv_*, which call these. */
size_t agn__winograd_weights_bytes(const struct agn__winograd *winograd);
size_t agn__winograd_scratch_bytes(const struct agn__winograd *winograd);
int agn__winograd_bind(struct agn__winograd *winograd, const struct agn__conv_memory *memory);
int agn__winograd_load_weights(struct agn__winograd *winograd, const float *plain);
int agn__winograd_run_lane(const struct agn__winograd *winograd, int lane);

#endif
