/* Corruptions of images, in five strengths: what happens to a camera's pictures. After Hendrycks and
 * Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations" (2019),
 * adapted to small images: lengths are shares of the shorter side, and borders repeat the nearest pixel.
 *
 * A pixel's value is v, its byte / 255; what comes out is cut to 0..1 and rounded to a byte. s: the shorter
 * side in pixels, n: normal with variance 1, [a, b]: drawn evenly. What is drawn for an image is the same at
 * all strengths, so that these differ in p only. Parameters p at strengths 1 to 5:
 *
 *   noise       v + p n, n for each value                                    0.04  0.08  0.12  0.18  0.26
 *   shot        Poisson(p v) / p for each value; from a mean of 30 on        100   50    25    12    5
 *               the rounded normal of the same mean and variance
 *   blur        Gaussian of deviation p s, cut at three of them              0.02  0.03  0.045 0.06  0.08
 *   motion      mean along a line of length p s through the pixel, its       0.08  0.12  0.17  0.23  0.3
 *               angle in [0, 180] degrees; points at most half a pixel
 *               apart, bilinear
 *   contrast    m + p (v - m), m: the channel's mean in this image           0.75  0.5   0.4   0.3   0.15
 *   brightness  v + p                                                        0.1   0.2   0.3   0.4   0.5
 *   haze        (v + p f) M / (M + p), M: the image's largest value; f:      0.2   0.5   0.75  1     1.5
 *               plasma, the sum over o = 0..3 of 2^-o times a lattice of
 *               (2^(o+1) + 1)^2 points in [0, 1], bilinear over the image,
 *               stretched to 0..1
 *   jpeg        JPEG of quality p and back, 4:2:0, as devices send it        80    50    25    15    7
 *               (agn_pixels_as_sent)
 *   pixelate    mean of the pixel's block; max(1, round(p side)) blocks      0.8   0.6   0.45  0.35  0.25
 *               along each side
 *   rotate      by p degrees to either side about the middle, bilinear       5     10    15    22    30
 *   translate   by p s in a direction in [0, 360] degrees, bilinear          0.04  0.08  0.12  0.17  0.23
 *   occlude     a square of max(1, round(p s)) pixels, anywhere within the   0.15  0.25  0.35  0.45  0.55
 *               image, has each channel's mean
 *   colour      v 2^(p cos(a + 120 c degrees)) in channel c of 3, a in       0.2   0.4   0.6   0.8   1
 *               [0, 360] degrees; grey: v^(2^p) or v^(2^-p), one as
 *               likely as the other
 *
 * noise, contrast and haze take their parameters from the authors' of ImageNet-C and CIFAR-10-C; their fog is
 * a plasma, too, of another construction. The others are this library's, from hardly seen to hardly
 * recognised on 28x28 and 32x32 pixels. rotate, translate, occlude (DeVries and Taylor, "Cutout", 2017) and
 * colour are not among theirs. */
#ifndef AGILENN_CORRUPTION_H
#define AGILENN_CORRUPTION_H

#include "agilenn/data.h"

enum agn_corruption {
    AGN_CORRUPTION_NOISE,
    AGN_CORRUPTION_SHOT,
    AGN_CORRUPTION_BLUR,
    AGN_CORRUPTION_MOTION,
    AGN_CORRUPTION_CONTRAST,
    AGN_CORRUPTION_BRIGHTNESS,
    AGN_CORRUPTION_HAZE,
    AGN_CORRUPTION_JPEG,
    AGN_CORRUPTION_PIXELATE,
    AGN_CORRUPTION_ROTATE,
    AGN_CORRUPTION_TRANSLATE,
    AGN_CORRUPTION_OCCLUDE,
    AGN_CORRUPTION_COLOUR,
    AGN_CORRUPTION_COUNT
};
enum { AGN_CORRUPTION_STRENGTHS = 5 };

/* "noise" and so on. */
const char *agn_corruption_name(enum agn_corruption kind);
/* p at a strength of 1 to AGN_CORRUPTION_STRENGTHS. */
double agn_corruption_parameter(enum agn_corruption kind, int strength);

struct agn_corruption_config {
    enum agn_corruption kind;
    int strength;  /* 1 to AGN_CORRUPTION_STRENGTHS */
    uint64_t seed; /* what is drawn for an image follows from this, the kind and the image's number */
};

/* Corrupts the images of `data`, whose numbers are their positions there, into `pixels`, as large as
 * data->pixels and apart from it; by all threads of OpenMP, whose number changes nothing. AGN_ERR_RANGE: not
 * 1 or 3 channels, sides of more than 1024 pixels, a kind or strength that is none. `pixels` may be half
 * written on failure. */
int agn_corrupt(const struct agn_corruption_config *config, const struct agn_dataset *data, uint8_t *pixels);

#endif
