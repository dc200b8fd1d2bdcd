/* Corruptions of images; see corruption.h for the formulas. */
#include "agilenn/corruption.h"

#include <math.h>
#include <string.h>

#include "agilenn/pixels.h"

enum { OCTAVES = 4, MOST_LATTICE = (1 << OCTAVES) + 1, MOST_SIDE = AGN_JPEG_MAX_SIDE, MOST_REACH = 256 };

static const double turn = 6.283185307179586; /* 360 degrees */

/* An image on its way. */
struct canvas {
    int height, width, channels;
    size_t count;    /* values */
    double *v, *old; /* shares of 255, NHWC; the second for who needs all pixels as they were */
    uint8_t *bytes;
    struct agn_rng rng; /* of this image */
    double p;
};

/* ---- places ------------------------------------------------------------------------ */

static int within(int at, int side)
{
    return at < 0 ? 0 : at >= side ? side - 1 : at;
}

static int shorter_side(const struct canvas *c)
{
    return c->height < c->width ? c->height : c->width;
}

/* Adds `weight` times a pixel of the old image to the values of one. */
static void add_pixel(const struct canvas *c, int y, int x, double weight, double *to)
{
    size_t at = (size_t)within(y, c->height) * (size_t)c->width + (size_t)within(x, c->width);
    const double *from = c->old + at * (size_t)c->channels;
    for (int k = 0; k < c->channels; k++)
        to[k] += weight * from[k];
}

/* The same of any place, bilinear. */
static void add_sample(const struct canvas *c, double y, double x, double weight, double *to)
{
    int top = (int)floor(y), left = (int)floor(x);
    double down = y - top, right = x - left;
    add_pixel(c, top, left, weight * (1.0 - down) * (1.0 - right), to);
    add_pixel(c, top, left + 1, weight * (1.0 - down) * right, to);
    add_pixel(c, top + 1, left, weight * down * (1.0 - right), to);
    add_pixel(c, top + 1, left + 1, weight * down * right, to);
}

static double *pixel_at(const struct canvas *c, int y, int x)
{
    return c->v + ((size_t)y * (size_t)c->width + (size_t)x) * (size_t)c->channels;
}

/* Keeps the image in `old` and leaves 0. */
static void move_to_old(const struct canvas *c)
{
    memcpy(c->old, c->v, c->count * sizeof *c->v);
    memset(c->v, 0, c->count * sizeof *c->v);
}

static double channel_mean(const struct canvas *c, int channel)
{
    double sum = 0.0;
    for (size_t i = (size_t)channel; i < c->count; i += (size_t)c->channels)
        sum += c->v[i];
    return sum / ((double)c->height * c->width);
}

/* ---- noise -------------------------------------------------------------------------- */

static int noise(struct canvas *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->v[i] += c->p * agn_rng_normal(&c->rng);
    return AGN_OK;
}

/* Knuth's product of uniform numbers, which takes as many as the mean. */
static double poisson(struct agn_rng *rng, double mean)
{
    const double many = 30.0;
    if (mean >= many)
        return fmax(round(mean + sqrt(mean) * agn_rng_normal(rng)), 0.0);
    double limit = exp(-mean), product = agn_rng_uniform(rng);
    int count = 0;
    for (; product > limit; count++)
        product *= agn_rng_uniform(rng);
    return count;
}

static int shot(struct canvas *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->v[i] = poisson(&c->rng, c->p * c->v[i]) / c->p;
    return AGN_OK;
}

/* ---- blur ---------------------------------------------------------------------------- */

/* Along rows (dy 0) or columns (dx 0). */
static void blur_along(const struct canvas *c, double deviation, int dy, int dx)
{
    double weights[MOST_REACH + 1], total = 0.0;
    int reach = (int)ceil(3.0 * deviation);
    for (int i = 0; i <= reach; i++) {
        weights[i] = exp(-0.5 * i * i / (deviation * deviation));
        total += i > 0 ? 2.0 * weights[i] : weights[i];
    }
    move_to_old(c);
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++)
            for (int i = -reach; i <= reach; i++)
                add_pixel(c, y + i * dy, x + i * dx, weights[i < 0 ? -i : i] / total, pixel_at(c, y, x));
}

static int blur(struct canvas *c)
{
    double deviation = c->p * shorter_side(c);
    blur_along(c, deviation, 0, 1);
    blur_along(c, deviation, 1, 0);
    return AGN_OK;
}

static int motion(struct canvas *c)
{
    double length = c->p * shorter_side(c), angle = 0.5 * turn * agn_rng_uniform(&c->rng);
    double dy = length * sin(angle), dx = length * cos(angle);
    int steps = 2 * (int)ceil(length);
    move_to_old(c);
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++)
            for (int i = 0; i <= steps; i++) {
                double at = (double)i / steps - 0.5;
                add_sample(c, y + at * dy, x + at * dx, 1.0 / (steps + 1), pixel_at(c, y, x));
            }
    return AGN_OK;
}

/* ---- light and weather ------------------------------------------------------------------ */

static int contrast(struct canvas *c)
{
    for (int k = 0; k < c->channels; k++) {
        double mean = channel_mean(c, k);
        for (size_t i = (size_t)k; i < c->count; i += (size_t)c->channels)
            c->v[i] = mean + c->p * (c->v[i] - mean);
    }
    return AGN_OK;
}

static int brightness(struct canvas *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->v[i] += c->p;
    return AGN_OK;
}

/* Adds a lattice of random numbers, stretched over the image, to a plane of it. */
static void add_octave(struct canvas *c, int octave, double *plane)
{
    double lattice[MOST_LATTICE * MOST_LATTICE];
    int cells = 2 << octave, points = cells + 1;
    for (int i = 0; i < points * points; i++)
        lattice[i] = ldexp(agn_rng_uniform(&c->rng), -octave);
    for (int y = 0; y < c->height; y++) {
        double at_y = c->height > 1 ? (double)y * cells / (c->height - 1) : 0.0;
        int row = within((int)at_y, cells);
        double down = at_y - row;
        for (int x = 0; x < c->width; x++) {
            double at_x = c->width > 1 ? (double)x * cells / (c->width - 1) : 0.0;
            int column = within((int)at_x, cells);
            double right = at_x - column;
            const double *from = lattice + row * points + column;
            plane[(size_t)y * (size_t)c->width + (size_t)x] +=
                (1.0 - down) * ((1.0 - right) * from[0] + right * from[1]) +
                down * ((1.0 - right) * from[points] + right * from[points + 1]);
        }
    }
}

static int haze(struct canvas *c)
{
    size_t positions = (size_t)c->height * (size_t)c->width;
    double *plasma = c->old, low = INFINITY, high = -INFINITY, largest = 0.0;
    memset(plasma, 0, positions * sizeof *plasma);
    for (int octave = 0; octave < OCTAVES; octave++)
        add_octave(c, octave, plasma);
    for (size_t i = 0; i < positions; i++) {
        low = fmin(low, plasma[i]);
        high = fmax(high, plasma[i]);
    }
    for (size_t i = 0; i < c->count; i++)
        largest = fmax(largest, c->v[i]);
    for (size_t i = 0; i < c->count; i++) {
        double dense = high > low ? (plasma[i / (size_t)c->channels] - low) / (high - low) : 0.0;
        c->v[i] = (c->v[i] + c->p * dense) * largest / (largest + c->p);
    }
    return AGN_OK;
}

/* ---- digital ------------------------------------------------------------------------------ */

static void write_bytes(const struct canvas *c, uint8_t *bytes)
{
    for (size_t i = 0; i < c->count; i++)
        bytes[i] = (uint8_t)lround(255.0 * fmin(fmax(c->v[i], 0.0), 1.0));
}

static void read_bytes(const struct canvas *c, const uint8_t *bytes)
{
    for (size_t i = 0; i < c->count; i++)
        c->v[i] = bytes[i] / 255.0;
}

static int jpeg(struct canvas *c)
{
    const struct agn_pixels_image image = {.format = {.width = (uint16_t)c->width,
                                                      .height = (uint16_t)c->height,
                                                      .interval = 1,
                                                      .channels = (uint8_t)c->channels,
                                                      .quality = (uint8_t)c->p}};
    write_bytes(c, c->bytes);
    int status = agn_pixels_as_sent(&image, c->bytes, 1);
    if (status == AGN_OK)
        read_bytes(c, c->bytes);
    return status;
}

static int block_of(int at, int side, double p)
{
    int blocks = (int)lround(p * side);
    return at * (blocks > 1 ? blocks : 1) / side;
}

/* The first place that belongs to the same block or a later one. */
static int block_start(int block, int side, double p)
{
    int at = 0;
    while (at < side && block_of(at, side, p) < block)
        at++;
    return at;
}

static int pixelate(struct canvas *c)
{
    move_to_old(c);
    for (int y = 0; y < c->height; y++) {
        int block_y = block_of(y, c->height, c->p), top = block_start(block_y, c->height, c->p),
            bottom = block_start(block_y + 1, c->height, c->p);
        for (int x = 0; x < c->width; x++) {
            int block_x = block_of(x, c->width, c->p), left = block_start(block_x, c->width, c->p),
                right = block_start(block_x + 1, c->width, c->p);
            for (int i = top; i < bottom; i++)
                for (int j = left; j < right; j++)
                    add_pixel(c, i, j, 1.0 / ((bottom - top) * (right - left)), pixel_at(c, y, x));
        }
    }
    return AGN_OK;
}

/* ---- where the camera stands ----------------------------------------------------------------- */

static int rotate(struct canvas *c)
{
    double angle = turn * c->p / 360.0 * (agn_rng_below(&c->rng, 2) ? 1.0 : -1.0);
    double middle_y = 0.5 * (c->height - 1), middle_x = 0.5 * (c->width - 1);
    move_to_old(c);
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            double dy = y - middle_y, dx = x - middle_x;
            add_sample(c, middle_y + cos(angle) * dy + sin(angle) * dx,
                       middle_x + cos(angle) * dx - sin(angle) * dy, 1.0, pixel_at(c, y, x));
        }
    return AGN_OK;
}

static int translate(struct canvas *c)
{
    double length = c->p * shorter_side(c), angle = turn * agn_rng_uniform(&c->rng);
    move_to_old(c);
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++)
            add_sample(c, y + length * sin(angle), x + length * cos(angle), 1.0, pixel_at(c, y, x));
    return AGN_OK;
}

/* A larger square holds a smaller one: the free space is shared out alike on both sides. */
static int occlude(struct canvas *c)
{
    double mean[AGN_MAX_CHANNELS], at_y = agn_rng_uniform(&c->rng), at_x = agn_rng_uniform(&c->rng);
    int side = (int)fmax(1.0, round(c->p * shorter_side(c)));
    int top = (int)(at_y * (c->height - side + 1)), left = (int)(at_x * (c->width - side + 1));
    for (int k = 0; k < c->channels; k++)
        mean[k] = channel_mean(c, k);
    for (int y = top; y < top + side; y++)
        for (int x = left; x < left + side; x++)
            memcpy(pixel_at(c, y, x), mean, (size_t)c->channels * sizeof *mean);
    return AGN_OK;
}

static int colour(struct canvas *c)
{
    double angle = turn * agn_rng_uniform(&c->rng), gamma = exp2(angle < 0.5 * turn ? c->p : -c->p);
    for (size_t i = 0; i < c->count; i++) {
        double channel = (double)(i % (size_t)c->channels);
        c->v[i] =
            c->channels == 1 ? pow(c->v[i], gamma) : c->v[i] * exp2(c->p * cos(angle + turn * channel / 3.0));
    }
    return AGN_OK;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*corrupt)(struct canvas *canvas);
    double p[AGN_CORRUPTION_STRENGTHS];
} kinds[AGN_CORRUPTION_COUNT] = {
    {"noise", noise, {0.04, 0.08, 0.12, 0.18, 0.26}},
    {"shot", shot, {100.0, 50.0, 25.0, 12.0, 5.0}},
    {"blur", blur, {0.02, 0.03, 0.045, 0.06, 0.08}},
    {"motion", motion, {0.08, 0.12, 0.17, 0.23, 0.3}},
    {"contrast", contrast, {0.75, 0.5, 0.4, 0.3, 0.15}},
    {"brightness", brightness, {0.1, 0.2, 0.3, 0.4, 0.5}},
    {"haze", haze, {0.2, 0.5, 0.75, 1.0, 1.5}},
    {"jpeg", jpeg, {80.0, 50.0, 25.0, 15.0, 7.0}},
    {"pixelate", pixelate, {0.8, 0.6, 0.45, 0.35, 0.25}},
    {"rotate", rotate, {5.0, 10.0, 15.0, 22.0, 30.0}},
    {"translate", translate, {0.04, 0.08, 0.12, 0.17, 0.23}},
    {"occlude", occlude, {0.15, 0.25, 0.35, 0.45, 0.55}},
    {"colour", colour, {0.2, 0.4, 0.6, 0.8, 1.0}},
};

const char *agn_corruption_name(enum agn_corruption kind)
{
    return kinds[kind].name;
}

double agn_corruption_parameter(enum agn_corruption kind, int strength)
{
    return kinds[kind].p[strength - 1];
}

/* ---- all images ------------------------------------------------------------------------------------ */

static int check(const struct agn_corruption_config *config, const struct agn_dataset *data)
{
    if ((unsigned)config->kind >= AGN_CORRUPTION_COUNT || config->strength < 1 ||
        config->strength > AGN_CORRUPTION_STRENGTHS)
        return agn_fail(AGN_ERR_RANGE, "corruption %d of strength %d: expected 0 to %d and 1 to %d",
                        (int)config->kind, config->strength, AGN_CORRUPTION_COUNT - 1,
                        (int)AGN_CORRUPTION_STRENGTHS);
    if ((data->channels != 1 && data->channels != 3) || data->height < 1 || data->width < 1 ||
        data->height > MOST_SIDE || data->width > MOST_SIDE)
        return agn_fail(AGN_ERR_RANGE,
                        "cannot corrupt images of %dx%dx%d: expected 1 or 3 channels and sides of 1 to %d",
                        data->height, data->width, data->channels, (int)MOST_SIDE);
    return AGN_OK;
}

/* Two rounds of the generator, as neighbouring seeds give related states. */
static void seed_image(const struct agn_corruption_config *config, size_t image, struct agn_rng *rng)
{
    agn_rng_seed(rng, config->seed);
    agn_rng_seed(rng, agn_rng_u64(rng) ^ (uint64_t)image);
    agn_rng_seed(rng, agn_rng_u64(rng) ^ (uint64_t)config->kind);
}

static int corrupt_one(const struct agn_corruption_config *config, size_t image, struct canvas *c,
                       const uint8_t *from, uint8_t *to)
{
    seed_image(config, image, &c->rng);
    read_bytes(c, from);
    int status = kinds[config->kind].corrupt(c);
    write_bytes(c, to);
    return status;
}

int agn_corrupt(const struct agn_corruption_config *config, const struct agn_dataset *data, uint8_t *pixels)
{
    int failure = check(config, data);
    if (failure < 0)
        return failure;
    size_t count = (size_t)data->height * (size_t)data->width * (size_t)data->channels;
    double p = agn_corruption_parameter(config->kind, config->strength);
#pragma omp parallel
    {
        struct canvas c = {data->height, data->width, data->channels, count, .p = p};
        c.v = agn_alloc(count, sizeof *c.v);
        c.old = agn_alloc(count, sizeof *c.old);
        c.bytes = agn_alloc(count, 1);
        bool made = c.v != NULL && c.old != NULL && c.bytes != NULL;
#pragma omp for schedule(static)
        for (int i = 0; i < data->count; i++) {
            size_t at = (size_t)i * count;
            int status =
                made ? corrupt_one(config, (size_t)i, &c, data->pixels + at, pixels + at) : AGN_ERR_MEMORY;
            if (status < 0) {
#pragma omp atomic write
                failure = status;
            }
        }
        agn_free(c.v);
        agn_free(c.old);
        agn_free(c.bytes);
    }
    return failure < 0 ? agn_fail(failure, "cannot corrupt images by %s: %s", kinds[config->kind].name,
                                  agn_status_text(failure))
                       : AGN_OK;
}
