/* Whether a preset's values go together; what one value may be is in preset.c's table. */
#include "agilenn/data.h"
#include "agilenn/model.h"
#include "agilenn/preset.h"
#include "agilenn/xai.h"

/* Only some systems send images. */
static int check_codec(const struct agn_preset *p)
{
    const struct agn_system *system;
    int status = agn_system_find(p->model.system, &system);
    if (status < 0 || p->model.codec != AGN_CODEC_JPEG || system->decode != NULL)
        return status;
    return agn_fail(
        AGN_ERR_ARG,
        "model.codec = jpeg codes images, and the system %s sends features: expected range, lzw or "
        "raw3",
        system->name);
}

static int check_networks(const struct agn_preset *p)
{
    const struct {
        enum agn_role role;
        const char *text, *example;
    } networks[] = {{AGN_EXTRACTOR, p->model.extractor, "conv24:s2"},
                    {AGN_REFERENCE, p->model.reference, "mobilenetv2-small"},
                    {AGN_REMOTE, p->model.remote, "mobilenetv2-small"}};
    const struct agn_system *system;
    int status = agn_system_find(p->model.system, &system);
    for (size_t i = 0; i < AGN_COUNT_OF(networks) && status == AGN_OK; i++)
        if (networks[i].text[0] == '\0' && (system->parts & 1U << networks[i].role) != 0)
            status = agn_fail(AGN_ERR_ARG, "model.%s is missing: a preset describes this network, such as %s",
                              agn_role_name(networks[i].role), networks[i].example);
    return status;
}

static int check_data(const struct agn_preset *p)
{
    uint8_t ground[3];
    if (!agn_dataset_format_known(p->data.format)) {
        char formats[256];
        agn_dataset_list_formats(formats, sizeof(formats));
        return agn_fail(AGN_ERR_ARG, "data.format = '%s': expected %s", p->data.format, formats);
    }
    if (!agn_dataset_ground(p->data.ground, ground))
        return agn_fail(AGN_ERR_ARG, "data.ground = '%s': expected white, black or #RRGGBB", p->data.ground);
    int status = agn_dataset_check_parts(p->data.format, p->data.test, p->data.validation);
    if (status < 0)
        return status;
    if (p->data.classes == 1)
        return agn_fail(AGN_ERR_RANGE,
                        "data.classes = 1: expected 2 to 1000, or 0 to count them in the data");
    return AGN_OK;
}

static int check_training(const struct agn_preset *p)
{
    if (p->train.choose == AGN_CHOOSE_BEST && p->data.validation[0] == '\0')
        return agn_fail(AGN_ERR_ARG, "train.choose = best needs validation images: set data.validation to a "
                                     "share of the training images, such as 0.1, or to their folder");
    if (p->joint.teacher_start != 0 && p->joint.teacher[0] == '\0')
        return agn_fail(
            AGN_ERR_ARG,
            "joint.teacher_start = 1 without a teacher: set joint.teacher to a trained edge-only model");
    if (p->joint.measure_every > 1 && p->joint.distill > 0.0 && p->joint.teacher[0] == '\0')
        return agn_fail(AGN_ERR_ARG,
                        "joint.measure_every = %d: the reference sees a part of the images, so that it "
                        "cannot teach: expected joint.distill = 0, or a joint.teacher",
                        p->joint.measure_every);
    if (p->joint.method == AGN_XAI_IG_TRAPEZOID && p->joint.points < 2)
        return agn_fail(
            AGN_ERR_RANGE,
            "joint.points = %d: the trapezoidal rule (joint.method = ig-trapezoid) needs at least 2; "
            "ig-midpoint and ig-gauss-legendre take 1",
            p->joint.points);
    return AGN_OK;
}

int agn_preset_check(const struct agn_preset *p)
{
    int status = check_data(p);
    if (status >= 0)
        status = check_training(p);
    if (status >= 0)
        status = check_codec(p);
    return status < 0 ? status : check_networks(p);
}
