/* `agilenn export --confidence`, `--sent`, `--may-lose` and `--reach`. */
#include "cli/export_decision.h"

#include "cli/cli.h"
#include "cli/preset_options.h"

/* More than quantisation needs: few are wrong among those of which the device is sure. */
enum { MOST_IMAGES = 10000 };

static const char *split_of(const struct agn_model *model)
{
    if (model->preset.data.validation[0] != '\0')
        return "validation";
    agn_log(AGN_LOG_WARN,
            "when to send is decided on training images, of which a network knows more than of others: "
            "train with data.validation = 0.1 or so for a decision on images that it has not seen");
    return "train";
}

int agn__export_decide(const struct agn_model *model, const struct agn__export_wish *wish, uint8_t **bytes,
                       size_t *size, struct agn__export_decision *decision)
{
    struct agn_dataset *data = NULL;
    bool learns = wish->target.sent > 0.0 || wish->target.may_lose > 0.0 || wish->target.reach > 0.0;
    if (wish->confidence <= 0.0 && !learns)
        return AGN_OK;
    if (agn_part_is_empty(&model->parts[AGN_LOCAL]))
        return agn_fail(AGN_ERR_UNSUPPORTED, "this needs a model with a Local NN, and the device has none");
    decision->split = split_of(model);
    int status = agn__cli_open_dataset(&model->preset, decision->split, MOST_IMAGES, &data);
    const struct agn_send_learning learning = {.model = model,
                                               .data = data,
                                               .target = wish->target,
                                               .progress = agn_progress_print,
                                               .progress_user = stderr};
    if (status == AGN_OK)
        status = learns ? agn_send_decision_deploy(&learning, bytes, size, &decision->by_class)
                        : agn_deploy_confidence(*bytes, *size, data, wish->confidence, &decision->sure);
    decision->learned = status == AGN_OK && learns;
    decision->calibrated = status == AGN_OK && !learns;
    agn_dataset_free(data);
    return status;
}

void agn__export_decision_print(const struct agn__export_wish *wish,
                                const struct agn__export_decision *decision)
{
    const struct agn_confidence_report *sure = &decision->sure;
    const struct agn_send_decision *d = &decision->by_class;
    if (decision->learned)
        printf("\non %d %s images %.1f %% of the frames are sent, %.1f bytes a frame in the mean: accuracy "
               "%.2f %%; %.2f %% "
               "if all were sent, %.2f %% if none\n",
               d->images, decision->split, 100.0 * d->sent_share, d->bytes, 100.0 * d->accuracy,
               100.0 * d->fused_accuracy, 100.0 * d->local_accuracy);
    if (decision->calibrated && sure->margin > 0)
        printf(
            "\nsure from a margin of %d/256 on: %.1f %% of %d %s images, %.2f %% of them right; not sent\n",
            sure->margin, 100.0 * sure->sure_share, sure->images,
            decision->split[0] == 't' ? "training" : decision->split, 100.0 * sure->sure_accuracy);
    else if (decision->calibrated)
        printf("\nno margin reaches a confidence of %g on %d %s images: every frame is sent\n",
               wish->confidence, sure->images, decision->split[0] == 't' ? "training" : decision->split);
}

void agn__export_decision_json(const struct agn__export_wish *wish,
                               const struct agn__export_decision *decision, json_t *object)
{
    const struct agn_confidence_report *sure = &decision->sure;
    const struct agn_send_decision *d = &decision->by_class;
    if (decision->calibrated)
        json_object_set_new(object, "confidence",
                            json_pack("{s:f, s:s, s:i, s:i, s:f, s:f}", "asked", wish->confidence, "split",
                                      decision->split, "images", sure->images, "margin", sure->margin,
                                      "sure_accuracy", sure->sure_accuracy, "sure_share", sure->sure_share));
    if (!decision->learned)
        return;
    json_t *margins = json_array();
    for (int c = 0; c < d->classes; c++)
        json_array_append_new(margins, json_integer(d->margins[c]));
    json_object_set_new(object, "send",
                        json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:o}", "split", decision->split,
                                  "images", d->images, "sent_share", d->sent_share, "bytes_mean", d->bytes,
                                  "accuracy", d->accuracy, "accuracy_all_sent", d->fused_accuracy,
                                  "accuracy_none_sent", d->local_accuracy, "margins", margins));
}
