/* A user's program of the installed host library: quantises a trained model, then classifies test images as a
 * device with a server at a port of this machine. usage: host MODEL.safetensors PORT */
#include <stdio.h>
#include <stdlib.h>

#include <agilenn/client.h>
#include <agilenn/deploy.h>
#include <agilenn/sets.h>

struct parts {
    struct agn_model *model;
    struct agn_dataset *train, *test;
    uint8_t *bytes;
    size_t size_bytes;
    struct agn_client *client;
};

static int set_up(const char *path, uint16_t port, struct parts *p)
{
    int status = agn_model_load(path, &p->model);
    struct agn_dataset_source source;
    if (status >= 0) {
        source = agn_preset_source(&p->model->preset, "train", 0);
        status = agn_dataset_open(&source, &p->train);
    }
    if (status >= 0) {
        source = agn_preset_source(&p->model->preset, "test", 0);
        status = agn_dataset_open(&source, &p->test);
    }
    if (status >= 0)
        status = agn_deploy_device(p->model, p->train, 0, &p->bytes, &p->size_bytes, NULL);
    const struct agn_client_config config = {
        .port = port, .deadline_ms = 10000, .model = p->bytes, .model_bytes = p->size_bytes};
    return status >= 0 ? agn_client_create(&p->client, &config) : status;
}

int main(int argc, char **argv)
{
    struct parts p = {NULL};
    int fused = 0, right = 0, status = argc == 3 ? set_up(argv[1], (uint16_t)atoi(argv[2]), &p) : AGN_ERR_ARG;
    for (int i = 0; status >= 0 && i < p.test->count; i++) {
        struct agn_client_result result;
        size_t pixels = (size_t)p.test->height * (size_t)p.test->width * (size_t)p.test->channels;
        status = agn_client_frame(p.client, p.test->pixels + (size_t)i * pixels, &result);
        fused += status >= 0 && result.fused;
        right += status >= 0 && result.class_index == p.test->labels[i];
    }
    if (status < 0)
        fprintf(stderr, "host: %s\n", agn_error_message());
    else
        printf("%d of %d fused, %d right\n", fused, p.test->count, right);
    agn_client_free(p.client);
    agn_free(p.bytes);
    agn_dataset_free(p.train);
    agn_dataset_free(p.test);
    agn_model_free(p.model);
    return status < 0;
}
