/* What the model of work counts of a device model: amounts by term of each layer and of what is around them,
 * as "part,term,amount", and what it makes of them. For bench/fit_work.py. usage: agn_bench_work model.agn
 * [packets bytes] */
#include <stdio.h>
#include <stdlib.h>

#include "agilenn/base.h"
#include "measure/work.h"

static void show(const char *part, const struct agn__amounts *amounts)
{
    for (int i = 0; i < AGN__TERMS; i++)
        if (amounts->of[i] > 0.0)
            printf("%s,%s,%.0f\n", part, agn__term_name((enum agn__term)i), amounts->of[i]);
    printf("%s,=,%.0f\n", part, agn__instructions(amounts));
}

int main(int argc, char **argv)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct agn_dev_model model;
    char part[32];
    if (argc < 2 || agn_file_read(argv[1], 16 << 20, &bytes, &size) < 0 ||
        agn_dev_model_open(&model, bytes, size) < 0) {
        fprintf(stderr, "usage: agn_bench_work model.agn [packets bytes]\n");
        return 2;
    }
    for (unsigned i = 0; i < model.layer_count; i++) {
        struct agn__amounts amounts = {{0}};
        agn__layer_amounts(&model, i, &amounts);
        snprintf(part, sizeof part, "layer %02u", i + 1);
        show(part, &amounts);
    }
    struct agn__amounts flow = {{0}}, local = {{0}}, packets = {{0}};
    agn__flow_amounts(&model, &flow);
    show("flow", &flow);
    agn__local_amounts(&model, &local);
    show("local", &local);
    if (argc > 3) {
        agn__packet_amounts(&model, strtod(argv[2], NULL), strtod(argv[3], NULL), &packets);
        show("packets", &packets);
    }
    agn_free(bytes);
    return 0;
}
