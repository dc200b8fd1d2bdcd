/* What writes model.agn, shared by chains (agn_writer.c) and networks with branches (graph_writer.c). */
#ifndef AGN_DEPLOY_WRITER_H
#define AGN_DEPLOY_WRITER_H

#include "agilenn/model_agn.h"

/* The file under construction. With bytes = NULL it only measures. */
struct agn__writer {
    uint8_t *bytes;
    size_t size;
};

/* `count` bytes more, NULL while measuring; the next ones begin at a multiple of 4. */
uint8_t *agn__reserve(struct agn__writer *writer, size_t count);
void agn__put_float(uint8_t *to, float value);
/* These give the offset of what they write. */
uint32_t agn__put_section(struct agn__writer *writer, const void *from, size_t count);
uint32_t agn__put_weights(struct agn__writer *writer, const struct agn_dev_layer *layer);
uint32_t agn__put_channels(struct agn__writer *writer, const struct agn_model_channel *channels,
                           unsigned count);
uint32_t agn__put_contexts(struct agn__writer *writer, const struct agn_model_agn *from);
/* The first fields of a layer's record, with `layer`'s weights and channels. */
void agn__put_layer(struct agn__writer *writer, uint8_t *record, const struct agn_model_layer *from,
                    const struct agn_dev_layer *layer, float in_scale);
void agn__put_header(uint8_t *header, const struct agn_model_agn *from, const struct agn_dev_model *model);

/* Layer `index` on h x w x c as the device sees it; 0, or a failure with its sentence. */
int agn__device_layer(const struct agn_model_layer *from, int index, unsigned h, unsigned w, unsigned c,
                      struct agn_dev_layer *layer);
int agn__check_channels(const char *what, int index, const struct agn_model_channel *channels, unsigned count,
                        const int8_t *weights, size_t first_step, size_t terms, size_t term_step,
                        uint32_t input_max);

/* Networks with branches: checks layers and heads, and sets the map; writes the file but for its plan. */
int agn__graph_layers(const struct agn_model_agn *from, struct agn_dev_model *model);
void agn__put_graph(struct agn__writer *writer, const struct agn_model_agn *from,
                    const struct agn_dev_model *model);
/* Plans memory in a file that was written so: how tensors lie, which segments there are, rings and places.
 * `model` as agn__graph_layers left it. */
int agn__plan_graph(uint8_t *bytes, size_t size, const struct agn_dev_model *model);

#endif
