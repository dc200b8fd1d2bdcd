/* Frames as they come, as JSON and as text. */
#include "cli/progressive_report.h"

#include <stdio.h>

static bool has_order(const struct agn_progressive *r, int order)
{
    return order != AGN_ORDER_MEASURED || r->is_measured;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *points_json(const char *name, const struct agn_progressive_point *points, int count)
{
    json_t *list = json_array();
    for (int n = 0; n < count; n++)
        json_array_append_new(list, json_pack("{s:i, s:f, s:f, s:f, s:f}", name, n, "bytes_mean",
                                              points[n].bytes, "accuracy", points[n].accuracy, "any_accuracy",
                                              points[n].any_accuracy, "share", points[n].share));
    return list;
}

static json_t *drawn_json(const struct agn_progressive *r)
{
    json_t *list = json_array();
    for (int i = 0; i < r->draws; i++) {
        json_t *channels = json_array();
        for (int c = 0; c < r->channels; c++)
            json_array_append_new(channels, json_integer(r->drawn[i][c]));
        json_array_append_new(list, channels);
    }
    return list;
}

static json_t *orders_json(const struct agn_progressive *r, int seed)
{
    json_t *list = json_array();
    for (int o = 0; o < AGN_ORDER_COUNT; o++) {
        if (!has_order(r, o))
            continue;
        json_t *order = json_pack("{s:s, s:o}", "order", agn_progressive_order_name(o), "points",
                                  points_json("channels", r->order[o], r->channels + 1));
        if (o == AGN_ORDER_RANDOM) {
            json_object_set_new(order, "seed", json_integer(seed));
            json_object_set_new(order, "permutations", drawn_json(r));
        }
        json_array_append_new(list, order);
    }
    return list;
}

static json_t *asks_json(const struct agn_progressive *r, int size)
{
    json_t *list = json_array();
    for (int i = 0; i < AGN_PROGRESSIVE_SHARES && r->asks; i++)
        for (int m = 0; m < AGN_PROGRESSIVE_MARGINS; m++) {
            const struct agn_progressive_ask *a = &r->ask[size][i][m];
            json_array_append_new(list,
                                  json_pack("{s:f, s:i, s:i, s:f, s:f, s:f}", "share", r->share[i],
                                            "threshold", r->threshold[i], "margin", a->margin, "accuracy",
                                            a->accuracy, "bytes_mean", a->bytes, "packets_mean", a->packets));
        }
    return list;
}

json_t *agn__progressive_json(const struct agn_progressive *r, int seed)
{
    json_t *packets = json_array();
    for (int s = 0; s < r->sizes; s++)
        json_array_append_new(packets,
                              json_pack("{s:i, s:o, s:o}", "packet_bytes", r->packet_bytes[s], "points",
                                        points_json("packets", r->packets[s], r->most[s] + 1), "ask",
                                        asks_json(r, s)));
    return json_pack("{s:i, s:i, s:o, s:o}", "protocol", r->protocol, "order_images", r->order_images,
                     "orders", orders_json(r, seed), "packets", packets);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_orders(const struct agn_progressive *r)
{
    int step = (r->channels + 15) / 16;
    printf("\naccuracy (%%) after the first channels, and mean bytes of a packet of them, %d images\n  %8s",
           r->order_images, "channels");
    for (int o = 0; o < AGN_ORDER_COUNT; o++)
        if (has_order(r, o))
            printf("%20s", agn_progressive_order_name(o));
    printf("\n");
    for (int n = 0; n <= r->channels;
         n += n + step > r->channels && n < r->channels ? r->channels - n : step) {
        printf("  %8d", n);
        for (int o = 0; o < AGN_ORDER_COUNT; o++)
            if (has_order(r, o))
                printf("  %6.2f (%7.1f B)", 100.0 * r->order[o][n].accuracy, r->order[o][n].bytes);
        printf("\n");
    }
}

static void print_packets(const struct agn_progressive *r, int size)
{
    enum { LINES = 10 };
    printf("\npackets of %d bytes at most\n  %8s %9s %10s %9s\n", r->packet_bytes[size], "packets", "bytes",
           "accuracy %", "frames %");
    for (int n = 0; n <= r->most[size] && n <= LINES; n++) {
        const struct agn_progressive_point *p = &r->packets[size][n];
        printf("  %8d %9.1f %10.2f %9.1f\n", n, p->bytes, 100.0 * p->accuracy, 100.0 * p->share);
    }
    if (r->most[size] > LINES)
        printf("  ... %d at most\n", r->most[size]);
    if (!r->asks || r->most[size] <= 1)
        return;
    printf("  asking for more\n  %8s %9s %9s %10s %9s\n", "sent %", "margin", "packets", "accuracy %",
           "bytes");
    for (int i = 0; i < AGN_PROGRESSIVE_SHARES; i++)
        for (int m = 0; m < AGN_PROGRESSIVE_MARGINS; m++) {
            const struct agn_progressive_ask *a = &r->ask[size][i][m];
            printf("  %8.1f %9.2f %9.3f %10.2f %9.1f\n", 100.0 * r->share[i], a->margin / 256.0, a->packets,
                   100.0 * a->accuracy, a->bytes);
        }
}

void agn__progressive_print(const struct agn_progressive *r)
{
    print_orders(r);
    for (int s = 0; s < r->sizes; s++)
        print_packets(r, s);
}
