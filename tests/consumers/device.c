/* A user's program of the installed device library: opens a model.agn and says which class it sees in an
 * image of one grey. usage: device MODEL.agn */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <agn_device.h>
#include <agn_link.h>

static uint32_t model[1 << 14], arena[1 << 14]; /* 64 KiB each, aligned */

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    size_t size = file ? fread(model, 1, sizeof model, file) : 0;
    struct agn_dev dev;
    struct agn_dev_prediction prediction;
    struct agn_link link;
    static const struct agn_link_config config = {.deadline_ms = 200};
    static uint8_t row[4096];
    if (file)
        fclose(file);
    int status = agn_dev_init(&dev, model, size, arena, sizeof arena);
    if (status == 0)
        status = agn_link_init(&link, &dev, &config, 1);
    if (status == 0) {
        memset(row, 128, sizeof row);
        agn_dev_frame_begin(&dev, 1, 200);
        for (int y = 0; y < dev.model.input_h && status == 0; y++)
            status = agn_dev_push_rows(&dev, row, 1);
    }
    if (status == 0)
        status = agn_dev_predict(&dev, &prediction);
    if (status < 0) {
        fprintf(stderr, "device: error %d\n", status);
        return 1;
    }
    printf("class %d\n", prediction.class_index);
    return 0;
}
