// Winograd's minimal filtering of 3x3 convolutions (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016): tiles of
// 4x4 outputs are sums of products of transformed inputs and transformed weights. All transforms are small constant matrices, applied to the
// rows and to the columns of a tile; a gradient's is the transpose of the other's.
//
// Stride 1 is F(4x4, 3x3) with the interpolation points 0, 3/4, -3/4, 3/2, -3/2 and infinity: 36 products in the place of 144.
//
// At stride 2 an output meets input pixels of odd coordinates with its outer taps and one of an even coordinate with its middle tap. Along each axis
// the former are F(4, 2), points 1/2, -1/2, 5/4, -5/4 and infinity, and the latter are products as they are: (5 + 4)^2 = 81 in the place of 144, with only
// (5 + 1)^2 = 36 different transformed weights.
//
// The points are those of small numbers with which a result suffers least from what is rounded between the transforms: half as much as with whole ones.
#include "CVectorKernels.h"
#include "bf16.h"
#include "dispatched.h"
#include <string.h>

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t words __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t halves __attribute__((vector_size(LANES * sizeof(uint16_t))));

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

// MARK: Stride 1

static const float unit_input[6 * 6] = {
    81.f / 64, 0,           -45.f / 16, 0,         1, 0,  //
    0,         -27.f / 16,  -9.f / 4,   3.f / 4,   1, 0,  //
    0,         27.f / 16,   -9.f / 4,   -3.f / 4,  1, 0,  //
    0,         -27.f / 32,  -9.f / 16,  3.f / 2,   1, 0,  //
    0,         27.f / 32,   -9.f / 16,  -3.f / 2,  1, 0,  //
    0,         81.f / 64,   0,          -45.f / 16, 0, 1,
};
static const float unit_output[4 * 6] = {
    1, 1,         1,          1,        1,         0,  //
    0, 3.f / 4,   -3.f / 4,   3.f / 2,  -3.f / 2,  0,  //
    0, 9.f / 16,  9.f / 16,   9.f / 4,  9.f / 4,   0,  //
    0, 27.f / 64, -27.f / 64, 27.f / 8, -27.f / 8, 1,
};
static const float unit_output_adjoint[6 * 4] = {
    1, 0,        0,        0,           //
    1, 3.f / 4,  9.f / 16, 27.f / 64,   //
    1, -3.f / 4, 9.f / 16, -27.f / 64,  //
    1, 3.f / 2,  9.f / 4,  27.f / 8,    //
    1, -3.f / 2, 9.f / 4,  -27.f / 8,   //
    0, 0,        0,        1,
};
static const float unit_weights[6 * 3] = {
    64.f / 81,    0,           0,          //
    -128.f / 243, -32.f / 81,  -8.f / 27,  //
    -128.f / 243, 32.f / 81,   -8.f / 27,  //
    32.f / 243,   16.f / 81,   8.f / 27,   //
    32.f / 243,   -16.f / 81,  8.f / 27,   //
    0,            0,           1,
};
static const float unit_weights_adjoint[3 * 6] = {
    64.f / 81, -128.f / 243, -128.f / 243, 32.f / 243, 32.f / 243, 0,  //
    0,         -32.f / 81,   32.f / 81,    16.f / 81,  -16.f / 81, 0,  //
    0,         -8.f / 27,    -8.f / 27,    8.f / 27,   8.f / 27,   1,
};

// MARK: Stride 2. Points 0 to 4 are those of the outer taps, 5 to 8 the products of the middle tap.

// Of nine inputs the first, third, fifth, seventh and ninth meet the outer taps.
static const float strided_input[9 * 9] = {
    -25.f / 32, 0, -25.f / 16, 0, 1.f / 2,    0, 1, 0, 0,  //
    25.f / 32,  0, -25.f / 16, 0, -1.f / 2,   0, 1, 0, 0,  //
    -5.f / 16,  0, -1.f / 4,   0, 5.f / 4,    0, 1, 0, 0,  //
    5.f / 16,   0, -1.f / 4,   0, -5.f / 4,   0, 1, 0, 0,  //
    25.f / 64,  0, 0,          0, -29.f / 16, 0, 0, 0, 1,  //
    0,          1, 0,          0, 0,          0, 0, 0, 0,  //
    0,          0, 0,          1, 0,          0, 0, 0, 0,  //
    0,          0, 0,          0, 0,          1, 0, 0, 0,  //
    0,          0, 0,          0, 0,          0, 0, 1, 0,
};
static const float strided_output[4 * 9] = {
    1,       1,        1,          1,           0, 1, 0, 0, 0,  //
    1.f / 2, -1.f / 2, 5.f / 4,    -5.f / 4,    0, 0, 1, 0, 0,  //
    1.f / 4, 1.f / 4,  25.f / 16,  25.f / 16,   0, 0, 0, 1, 0,  //
    1.f / 8, -1.f / 8, 125.f / 64, -125.f / 64, 1, 0, 0, 0, 1,
};
static const float strided_output_adjoint[9 * 4] = {
    1, 1.f / 2,  1.f / 4,   1.f / 8,  //
    1, -1.f / 2, 1.f / 4,   -1.f / 8,  //
    1, 5.f / 4,  25.f / 16, 125.f / 64,  //
    1, -5.f / 4, 25.f / 16, -125.f / 64,  //
    0, 0,        0,         1,  //
    1, 0,        0,         0,  //
    0, 1,        0,         0,  //
    0, 0,        1,         0,  //
    0, 0,        0,         1,
};
static const float strided_weights[6 * 3] = {
    -16.f / 21,  0, -8.f / 21,  //
    16.f / 21,   0, -8.f / 21,  //
    32.f / 105,  0, 8.f / 21,  //
    -32.f / 105, 0, 8.f / 21,  //
    0,           0, 1,  //
    0,           1, 0,
};
static const float strided_weights_adjoint[3 * 6] = {
    -16.f / 21, 16.f / 21, 32.f / 105, -32.f / 105, 0, 0,  //
    0,          0,         0,          0,           0, 1,  //
    -8.f / 21,  -8.f / 21, 8.f / 21,   8.f / 21,    1, 0,
};
// The gradient of eight inputs from those of five outputs: those of even coordinates meet one output each, the others two. The weights are turned.
static const float strided_gradient[9 * 5] = {
    -25.f / 32, -25.f / 16, 1.f / 2,    1, 0,  //
    25.f / 32,  -25.f / 16, -1.f / 2,   1, 0,  //
    -5.f / 16,  -1.f / 4,   5.f / 4,    1, 0,  //
    5.f / 16,   -1.f / 4,   -5.f / 4,   1, 0,  //
    25.f / 64,  0,          -29.f / 16, 0, 1,  //
    1,          0,          0,          0, 0,  //
    0,          1,          0,          0, 0,  //
    0,          0,          1,          0, 0,  //
    0,          0,          0,          1, 0,
};
static const float strided_input_gradient[8 * 9] = {
    0,       0,        0,          0,           0, 1, 0, 0, 0,  //
    1,       1,        1,          1,           0, 0, 0, 0, 0,  //
    0,       0,        0,          0,           0, 0, 1, 0, 0,  //
    1.f / 2, -1.f / 2, 5.f / 4,    -5.f / 4,    0, 0, 0, 0, 0,  //
    0,       0,        0,          0,           0, 0, 0, 1, 0,  //
    1.f / 4, 1.f / 4,  25.f / 16,  25.f / 16,   0, 0, 0, 0, 0,  //
    0,       0,        0,          0,           0, 0, 0, 0, 1,  //
    1.f / 8, -1.f / 8, 125.f / 64, -125.f / 64, 1, 0, 0, 0, 0,
};

// MARK: Tiles

// A row of a transform, whose factors are constants, times values.
INLINE void combine(const float *factors, int count, const lanes *values, lanes *sum) {
  int begun = 0;
  UNROLLED for (int i = 0; i < count; i++) {
    if (factors[i] == 0) continue;
    *sum = begun ? *sum + factors[i] * values[i] : factors[i] * values[i];
    begun = 1;
  }
}

// A tile of `side` x `side` vectors becomes `points` x `points` of them.
INLINE void spread_tile(const float *transform, int points, int side, const float *source, ptrdiff_t line, ptrdiff_t pixel, float *target,
                        ptrdiff_t plane) {
  lanes half[9 * 9];
  UNROLLED for (int j = 0; j < side; j++) {
    lanes d[9];
    UNROLLED for (int i = 0; i < side; i++) memcpy(&d[i], source + i * line + j * pixel, sizeof d[i]);
    UNROLLED for (int k = 0; k < points; k++) combine(transform + k * side, side, d, &half[k * side + j]);
  }
  UNROLLED for (int k = 0; k < points; k++)
    UNROLLED for (int l = 0; l < points; l++) {
      lanes v;
      combine(transform + l * side, side, half + k * side, &v);
      memcpy(target + (k * points + l) * plane, &v, sizeof v);
    }
}

// The other way round.
INLINE void collect_tile(const float *transform, int points, int side, const float *source, ptrdiff_t plane, float *target, ptrdiff_t line,
                         ptrdiff_t pixel) {
  lanes half[9 * 9];
  UNROLLED for (int l = 0; l < points; l++) {
    lanes m[9];
    UNROLLED for (int k = 0; k < points; k++) memcpy(&m[k], source + (k * points + l) * plane, sizeof m[k]);
    UNROLLED for (int i = 0; i < side; i++) combine(transform + i * points, points, m, &half[i * points + l]);
  }
  UNROLLED for (int i = 0; i < side; i++)
    UNROLLED for (int j = 0; j < side; j++) {
      lanes v;
      combine(transform + j * points, points, half + i * points, &v);
      memcpy(target + i * line + j * pixel, &v, sizeof v);
    }
}

// The rows and columns of a tile that lie inside the map.
typedef struct {
  ptrdiff_t top, left, bottom, right;
} extent;

INLINE extent inside(ptrdiff_t top, ptrdiff_t left, ptrdiff_t side, ptrdiff_t height, ptrdiff_t width) {
  extent e = {top < 0 ? -top : 0, left < 0 ? -left : 0, height - top < side ? height - top : side, width - left < side ? width - left : side};
  return e;
}

INLINE int is_whole(extent e, ptrdiff_t side) { return e.top == 0 && e.left == 0 && e.bottom == side && e.right == side; }

INLINE ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// Copies vectors of which only `count` floats are there; a whole one without a call.
INLINE void copy_vectors(const float *source, ptrdiff_t source_stride, ptrdiff_t vectors, ptrdiff_t count, float *target,
                         ptrdiff_t target_stride) {
  for (ptrdiff_t i = 0; i < vectors; i++, source += source_stride, target += target_stride) {
    if (count == LANES) {
      lanes v;
      memcpy(&v, source, sizeof v);
      memcpy(target, &v, sizeof v);
    } else {
      memcpy(target, source, sizeof(float) * count);
    }
  }
}

// Adds vectors of which only `count` floats are there.
INLINE void add_vectors(const float *source, ptrdiff_t source_stride, ptrdiff_t vectors, ptrdiff_t count, float *target,
                        ptrdiff_t target_stride) {
  for (ptrdiff_t i = 0; i < vectors; i++, source += source_stride, target += target_stride)
    for (ptrdiff_t c = 0; c < count; c++) target[c] += source[c];
}

// The same of bf16, which become floats.
INLINE void widen_vectors(const uint16_t *source, ptrdiff_t source_stride, ptrdiff_t vectors, ptrdiff_t count, float *target,
                          ptrdiff_t target_stride) {
  for (ptrdiff_t i = 0; i < vectors; i++, source += source_stride, target += target_stride) {
    halves h = {0};
    if (count == LANES)
      memcpy(&h, source, sizeof h);
    else
      memcpy(&h, source, sizeof(uint16_t) * count);
    words w = __builtin_convertvector(h, words) << 16;
    memcpy(target, &w, sizeof w);
  }
}

// Floats become bf16.
INLINE void round_vectors(const float *source, ptrdiff_t source_stride, ptrdiff_t vectors, ptrdiff_t count, uint16_t *target,
                          ptrdiff_t target_stride) {
  for (ptrdiff_t i = 0; i < vectors; i++, source += source_stride, target += target_stride) {
    uint16_t rounded[LANES];
    for (int c = 0; c < LANES; c++) rounded[c] = bf16_of(source[c]);
    if (count == LANES)
      memcpy(target, rounded, sizeof rounded);
    else
      memcpy(target, rounded, sizeof(uint16_t) * count);
  }
}

// A tile of a map: where it begins, and what of it lies inside.
typedef struct {
  const char *source;
  extent e;
  int whole;
} place;

// Transformed, `values` become words that lie `plane` apart: they themselves, or two of them, rounded to bf16. Of the latter either neighbours of one
// vector share a word, or what is at the same place in two.
INLINE void store(const float *values, ptrdiff_t vectors, int pairing, ptrdiff_t count, float *target, ptrdiff_t plane) {
  if (pairing == RD_SINGLE)
    copy_vectors(values, LANES, vectors, count, target, plane);
  else if (pairing == RD_PAIRED_COLUMNS)
    rd_pair_columns(values, LANES, vectors, count, (uint32_t *)target, plane);
  else
    rd_pair_rows(values, 0, LANES, 2 * vectors, count, (uint32_t *)target, plane);
}

// What is no whole tile of whole vectors goes through a copy filled up with zeros, and so does what becomes floats.
INLINE void spread(const float *transform, int points, int side, int step, int origin, int pairing, const void *x, int is_bf16, ptrdiff_t height,
                   ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                   ptrdiff_t rows, float *planes, ptrdiff_t plane, ptrdiff_t row_stride, ptrdiff_t panel_stride) {
  ptrdiff_t line = width * pixel_stride, tiles = tiles_high * tiles_wide;
  ptrdiff_t size = is_bf16 ? sizeof(uint16_t) : sizeof(float);
  int per_row = pairing == RD_PAIRED_ROWS ? 2 : 1;
  ptrdiff_t rows_per_image = (tiles + per_row - 1) / per_row;
  float copy[9 * 9 * LANES], points_copy[2 * 9 * 9 * LANES];
  for (ptrdiff_t row = first; row < first + rows; row++, planes += row_stride) {
    place places[2];
    int there = 0;
    for (ptrdiff_t tile = row % rows_per_image * per_row; there < per_row && tile < tiles; there++, tile++) {
      ptrdiff_t top = tile / tiles_wide * step + origin, left = tile % tiles_wide * step + origin;
      extent e = inside(top, left, side, height, width);
      ptrdiff_t offset = ((row / rows_per_image * height + top) * width + left) * pixel_stride;
      places[there] = (place){(const char *)x + offset * size, e, is_whole(e, side)};
    }
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = least(channels - c, LANES);
      float *target = planes + c / RD_PANEL * panel_stride + c % RD_PANEL / (pairing == RD_PAIRED_COLUMNS ? 2 : 1);
      int direct = pairing == RD_SINGLE && count == LANES;
      // An odd tile out is joined by zeros.
      if (there < per_row) memset(points_copy, 0, sizeof points_copy);
      for (int i = 0; i < there; i++) {
        extent e = places[i].e;
        const char *from = places[i].source + c * size;
        const float *source = (const float *)from;
        // The tile to come, which the processor does not foresee.
        for (int r = 0; r < side; r++)
          for (int j = side - step; j < side; j++) __builtin_prefetch(from + (r * line + (j + per_row * step) * pixel_stride) * size);
        ptrdiff_t tile_line = line, tile_pixel = pixel_stride;
        if (!places[i].whole || count < LANES || is_bf16) {
          if (!places[i].whole || count < LANES) memset(copy, 0, sizeof(float) * side * side * LANES);
          for (ptrdiff_t r = e.top; r < e.bottom; r++) {
            ptrdiff_t offset = r * line + e.left * pixel_stride;
            float *row_copy = copy + (r * side + e.left) * LANES;
            if (is_bf16)
              widen_vectors((const uint16_t *)from + offset, pixel_stride, e.right - e.left, count, row_copy, LANES);
            else
              copy_vectors(source + offset, pixel_stride, e.right - e.left, count, row_copy, LANES);
          }
          source = copy;
          tile_line = side * LANES;
          tile_pixel = LANES;
        }
        spread_tile(transform, points, side, source, tile_line, tile_pixel, direct ? target : points_copy + i * LANES,
                    direct ? plane : per_row * LANES);
      }
      if (!direct) store(points_copy, points * points, pairing, count, target, plane);
    }
  }
}

INLINE void collect(const float *transform, int points, int side, const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height,
                    ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                    ptrdiff_t tiles, const float *bias, const float *residual, int activation, int adding, void *y, int is_bf16) {
  ptrdiff_t line = width * pixel_stride;
  float copy[9 * 9 * LANES], points_copy[9 * 9 * LANES] = {0};
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, planes += tile_stride) {
    ptrdiff_t top = tile / tiles_wide % tiles_high * side, left = tile % tiles_wide * side;
    ptrdiff_t place = ((tile / (tiles_wide * tiles_high) * height + top) * width + left) * pixel_stride;
    char *start = (char *)y + place * (ptrdiff_t)(is_bf16 ? sizeof(uint16_t) : sizeof(float));
    float *target = (float *)start;
    uint16_t *rounded = (uint16_t *)start;
    extent e = inside(top, left, side, height, width);
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = least(channels - c, LANES);
      int direct = is_whole(e, side) && count == LANES && !adding && !is_bf16;
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
          ptrdiff_t next = c + i * line + (j + side) * pixel_stride;
          __builtin_prefetch(is_bf16 ? (const void *)(rounded + next) : target + next);
        }
      if (count < LANES) copy_vectors(planes + c, plane, points * points, count, points_copy, LANES);
      collect_tile(transform, points, side, count < LANES ? points_copy : planes + c, count < LANES ? LANES : plane,
                   direct ? target + c : copy, direct ? line : side * LANES, direct ? pixel_stride : LANES);
      for (ptrdiff_t i = 0; i < e.bottom && !direct; i++) {
        if (is_bf16)
          round_vectors(copy + i * side * LANES, LANES, e.right, count, rounded + c + i * line, pixel_stride);
        else if (adding)
          add_vectors(copy + i * side * LANES, LANES, e.right, count, target + c + i * line, pixel_stride);
        else
          copy_vectors(copy + i * side * LANES, LANES, e.right, count, target + c + i * line, pixel_stride);
      }
    }
    for (ptrdiff_t i = 0; i < e.bottom && bias; i++)
      rd_add_bias(target + i * line, pixel_stride, bias, residual ? residual + place + i * line : NULL, pixel_stride, activation, e.right,
                  channels);
  }
}

DISPATCHED
void rd_winograd_input(int stride, int pairing, const void *x, int is_bf16, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                       ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t rows, float *planes, ptrdiff_t plane,
                       ptrdiff_t row_stride, ptrdiff_t panel_stride) {
  if (stride == 1)
    spread(unit_input, 6, 6, 4, -1, pairing, x, is_bf16, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, rows, planes, plane, row_stride,
           panel_stride);
  else
    spread(strided_input, 9, 9, 8, -1, pairing, x, is_bf16, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, rows, planes, plane,
           row_stride, panel_stride);
}

DISPATCHED
void rd_winograd_output(int stride, const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                        ptrdiff_t tiles, const float *bias, const float *residual, int activation, int adding, void *y, int is_bf16) {
  if (stride == 1)
    collect(unit_output, 6, 4, planes, plane, tile_stride, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, bias,
            residual, activation, adding, y, is_bf16);
  else
    collect(strided_output, 9, 4, planes, plane, tile_stride, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, bias,
            residual, activation, adding, y, is_bf16);
}

DISPATCHED
void rd_winograd_output_adjoint(int stride, int pairing, const void *dy, int is_bf16, ptrdiff_t height, ptrdiff_t width,
                                ptrdiff_t pixel_stride, ptrdiff_t channels,
                                ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t rows, float *planes, ptrdiff_t plane,
                                ptrdiff_t row_stride, ptrdiff_t panel_stride) {
  if (stride == 1)
    spread(unit_output_adjoint, 6, 4, 4, 0, pairing, dy, is_bf16, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, rows, planes, plane,
           row_stride, panel_stride);
  else
    spread(strided_output_adjoint, 9, 4, 4, 0, pairing, dy, is_bf16, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, rows, planes, plane,
           row_stride, panel_stride);
}

DISPATCHED
void rd_winograd_strided_gradient(int pairing, const void *dy, int is_bf16, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                                  ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t rows, float *planes, ptrdiff_t plane,
                                  ptrdiff_t row_stride, ptrdiff_t panel_stride) {
  spread(strided_gradient, 9, 5, 4, 0, pairing, dy, is_bf16, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, rows, planes, plane,
         row_stride, panel_stride);
}

DISPATCHED
void rd_winograd_strided_input_gradient(const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                                        ptrdiff_t tiles, int adding, void *dx, int is_bf16) {
  collect(strided_input_gradient, 9, 8, planes, plane, tile_stride, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles,
          NULL, NULL, 0, adding, dx, is_bf16);
}

// MARK: Weights

// Nine taps are a tile whose pixels are tap_stride apart, of which there is one for every weight of a plane.
INLINE void spread_taps(const float *transform, int pairing, const float *weights, ptrdiff_t tap_stride, ptrdiff_t row_stride, ptrdiff_t rows,
                        ptrdiff_t columns, float *panels, ptrdiff_t plane, ptrdiff_t panel_stride) {
  int step = pairing == RD_PAIRED_ROWS ? 2 : 1;
  for (ptrdiff_t r = 0; r < rows; r += step, weights += step * row_stride, panels += RD_PANEL)
    for (ptrdiff_t c = 0; c < columns; c += LANES) {
      ptrdiff_t count = least(columns - c, LANES);
      float copy[9 * LANES] = {0}, points_copy[2 * 36 * LANES];
      float *target = panels + c / RD_PANEL * panel_stride + c % RD_PANEL;
      if (r + step > rows) memset(points_copy, 0, sizeof points_copy);
      for (int i = 0; i < step && r + i < rows; i++) {
        const float *source = weights + i * row_stride + c;
        if (count < LANES) copy_vectors(source, tap_stride, 9, count, copy, LANES);
        ptrdiff_t stride = count < LANES ? LANES : tap_stride;
        spread_tile(transform, 6, 3, count < LANES ? copy : source, 3 * stride, stride, step == 1 ? target : points_copy + i * LANES,
                    step == 1 ? plane : 2 * LANES);
      }
      // The last panel is filled up.
      if (step == 2) store(points_copy, 36, pairing, LANES, target, plane);
    }
}

INLINE void collect_taps(const float *transform, const float *planes, ptrdiff_t plane, ptrdiff_t weight_count, float *weights) {
  float points[36 * LANES] = {0}, taps[9 * LANES];
  for (ptrdiff_t c = 0; c < weight_count; c += LANES) {
    ptrdiff_t count = least(weight_count - c, LANES);
    if (count == LANES) {
      collect_tile(transform, 6, 3, planes + c, plane, weights + c, 3 * weight_count, weight_count);
    } else {
      copy_vectors(planes + c, plane, 36, count, points, LANES);
      collect_tile(transform, 6, 3, points, LANES, taps, 3 * LANES, LANES);
      copy_vectors(taps, LANES, 9, count, weights + c, weight_count);
    }
  }
}

DISPATCHED
void rd_winograd_weights(int stride, int pairing, const float *weights, ptrdiff_t tap_stride, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns,
                         float *panels, ptrdiff_t plane, ptrdiff_t panel_stride) {
  if (stride == 1)
    spread_taps(unit_weights, pairing, weights, tap_stride, row_stride, rows, columns, panels, plane, panel_stride);
  else
    spread_taps(strided_weights, pairing, weights, tap_stride, row_stride, rows, columns, panels, plane, panel_stride);
}

DISPATCHED
void rd_winograd_weights_adjoint(int stride, const float *planes, ptrdiff_t plane, ptrdiff_t weight_count, float *weights) {
  if (stride == 1)
    collect_taps(unit_weights_adjoint, planes, plane, weight_count, weights);
  else
    collect_taps(strided_weights_adjoint, planes, plane, weight_count, weights);
}
