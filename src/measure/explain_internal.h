/* What explanations and the look at their completeness share. */
#ifndef AGN_MEASURE_EXPLAIN_INTERNAL_H
#define AGN_MEASURE_EXPLAIN_INTERNAL_H

#include "agilenn/measure.h"

/* Are there such images, and does the data set belong to the model? */
int agn__explain_check(const struct agn_explain_config *config);
/* Position in the data set of the explanation's image i. */
int agn__explain_image(const struct agn_explain_config *config, int i);
/* An image as the extractor takes it. */
void agn__explain_input(const struct agn_explain_config *config, int image, float *input);
/* The reference's loss at features of 0 for each class: (classes), freed with agn_free. */
int agn__explain_losses_at_zero(const struct agn_model *model, float **losses);

#endif
