/* How weights move after a step: train.optimizer, train.clip. */
#ifndef AGN_TRAIN_OPTIMISER_H
#define AGN_TRAIN_OPTIMISER_H

#include "agilenn/model.h"

/* That of a phase: train.optimizer, or where it prepares for another one, reference.optimizer. */
enum agn_optimizer agn__optimizer_of(const struct agn_preset *preset, enum agn_phase phase);

/* Room for what the phase's optimiser remembers of these parts (1 << AGN_LOCAL and so on); what there is
 * stays. */
int agn__optimiser_open(struct agn_model *model, enum agn_phase phase, unsigned roles);

/* Moves the weights of these parts along their gradients, which train.clip may shorten before. */
void agn__optimiser_step(struct agn_model *model, enum agn_phase phase, unsigned roles, double rate);
/* Moves alpha likewise, after the weights; clipping is not its business. */
void agn__optimiser_step_alpha(struct agn_model *model, double rate, float diff_alpha);

#endif
