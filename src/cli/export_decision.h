/* `agilenn export`: which frames the exported device leaves unsent. */
#ifndef AGN_CLI_EXPORT_DECISION_H
#define AGN_CLI_EXPORT_DECISION_H

#include <jansson.h>

#include "agilenn/deploy.h"
#include "agilenn/send_decision.h"

/* What is asked for; all 0: every frame is sent. */
struct agn__export_wish {
    double confidence;
    struct agn_send_target target;
};

struct agn__export_decision {
    bool calibrated, learned;          /* which of the two below there is */
    struct agn_confidence_report sure; /* one margin, by `confidence` */
    struct agn_send_decision by_class; /* one for each class, by `target` */
    const char *split;                 /* that it was found on */
};

/* Puts margins into the device model, whose bytes may become others. Images of the model's validation split
 * where it has one, else training images, with a warning. */
int agn__export_decide(const struct agn_model *model, const struct agn__export_wish *wish, uint8_t **bytes,
                       size_t *size, struct agn__export_decision *decision);

void agn__export_decision_print(const struct agn__export_wish *wish,
                                const struct agn__export_decision *decision);
/* Adds "confidence" or "send" to the object. */
void agn__export_decision_json(const struct agn__export_wish *wish,
                               const struct agn__export_decision *decision, json_t *object);

#endif
