// Winograd's minimal filtering of 3x3 convolutions (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016): tiles of
// 4x4 outputs are sums of products of transformed inputs and transformed weights. All transforms are small constant matrices, applied to the
// rows and to the columns of a tile; a gradient's is the transpose of the other's.
//
// Stride 1 is F(4x4, 3x3) with the interpolation points 0, 1, -1, 2, -2 and infinity: 36 products in the place of 144.
//
// At stride 2 an output meets input pixels of odd coordinates with its outer taps and one of an even coordinate with its middle tap. Along each axis
// the former are F(4, 2), points 0, 1, -1, 2 and infinity, and the latter are products as they are: (5 + 4)^2 = 81 in the place of 144, with only
// (5 + 1)^2 = 36 different transformed weights.
#include "CVectorKernels.h"
#include "dispatched.h"
#include <string.h>

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("clang loop unroll(full)")

// MARK: Stride 1

static const float unit_input[6 * 6] = {
    4, 0,  -5, 0,  1, 0,  //
    0, -4, -4, 1,  1, 0,  //
    0, 4,  -4, -1, 1, 0,  //
    0, -2, -1, 2,  1, 0,  //
    0, 2,  -1, -2, 1, 0,  //
    0, 4,  0,  -5, 0, 1,
};
static const float unit_output[4 * 6] = {
    1, 1, 1,  1, 1,  0,  //
    0, 1, -1, 2, -2, 0,  //
    0, 1, 1,  4, 4,  0,  //
    0, 1, -1, 8, -8, 1,
};
static const float unit_output_adjoint[6 * 4] = {
    1, 0,  0, 0,   //
    1, 1,  1, 1,   //
    1, -1, 1, -1,  //
    1, 2,  4, 8,   //
    1, -2, 4, -8,  //
    0, 0,  0, 1,
};
static const float unit_weights[6 * 3] = {
    1.f / 4,  0,         0,         //
    -1.f / 6, -1.f / 6,  -1.f / 6,  //
    -1.f / 6, 1.f / 6,   -1.f / 6,  //
    1.f / 24, 1.f / 12,  1.f / 6,   //
    1.f / 24, -1.f / 12, 1.f / 6,   //
    0,        0,         1,
};
static const float unit_weights_adjoint[3 * 6] = {
    1.f / 4, -1.f / 6, -1.f / 6, 1.f / 24, 1.f / 24,  0,  //
    0,       -1.f / 6, 1.f / 6,  1.f / 12, -1.f / 12, 0,  //
    0,       -1.f / 6, -1.f / 6, 1.f / 6,  1.f / 6,   1,
};

// MARK: Stride 2. Points 0 to 4 are those of the outer taps, 5 to 8 the products of the middle tap.

// Of nine inputs the first, third, fifth, seventh and ninth meet the outer taps.
static const float strided_input[9 * 9] = {
    2, 0, -1, 0, -2, 0, 1,  0, 0,  //
    0, 0, -2, 0, -1, 0, 1,  0, 0,  //
    0, 0, 2,  0, -3, 0, 1,  0, 0,  //
    0, 0, -1, 0, 0,  0, 1,  0, 0,  //
    0, 0, 2,  0, -1, 0, -2, 0, 1,  //
    0, 1, 0,  0, 0,  0, 0,  0, 0,  //
    0, 0, 0,  1, 0,  0, 0,  0, 0,  //
    0, 0, 0,  0, 0,  1, 0,  0, 0,  //
    0, 0, 0,  0, 0,  0, 0,  1, 0,
};
static const float strided_output[4 * 9] = {
    1, 1, 1,  1, 0, 1, 0, 0, 0,  //
    0, 1, -1, 2, 0, 0, 1, 0, 0,  //
    0, 1, 1,  4, 0, 0, 0, 1, 0,  //
    0, 1, -1, 8, 1, 0, 0, 0, 1,
};
static const float strided_output_adjoint[9 * 4] = {
    1, 0,  0, 0,   //
    1, 1,  1, 1,   //
    1, -1, 1, -1,  //
    1, 2,  4, 8,   //
    0, 0,  0, 1,   //
    1, 0,  0, 0,   //
    0, 1,  0, 0,   //
    0, 0,  1, 0,   //
    0, 0,  0, 1,
};
static const float strided_weights[6 * 3] = {
    1.f / 2,  0, 0,         //
    -1.f / 2, 0, -1.f / 2,  //
    -1.f / 6, 0, 1.f / 6,   //
    1.f / 6,  0, 1.f / 3,   //
    0,        0, 1,         //
    0,        1, 0,
};
static const float strided_weights_adjoint[3 * 6] = {
    1.f / 2, -1.f / 2, -1.f / 6, 1.f / 6, 0, 0,  //
    0,       0,        0,        0,       0, 1,  //
    0,       -1.f / 2, 1.f / 6,  1.f / 3, 1, 0,
};
// The gradient of eight inputs from those of five outputs: those of even coordinates meet one output each, the others two. The weights are turned.
static const float strided_gradient[9 * 5] = {
    2, -1, -2, 1,  0,  //
    0, -2, -1, 1,  0,  //
    0, 2,  -3, 1,  0,  //
    0, -1, 0,  1,  0,  //
    0, 2,  -1, -2, 1,  //
    1, 0,  0,  0,  0,  //
    0, 1,  0,  0,  0,  //
    0, 0,  1,  0,  0,  //
    0, 0,  0,  1,  0,
};
static const float strided_input_gradient[8 * 9] = {
    0, 0, 0,  0, 0, 1, 0, 0, 0,  //
    1, 1, 1,  1, 0, 0, 0, 0, 0,  //
    0, 0, 0,  0, 0, 0, 1, 0, 0,  //
    0, 1, -1, 2, 0, 0, 0, 0, 0,  //
    0, 0, 0,  0, 0, 0, 0, 1, 0,  //
    0, 1, 1,  4, 0, 0, 0, 0, 0,  //
    0, 0, 0,  0, 0, 0, 0, 0, 1,  //
    0, 1, -1, 8, 1, 0, 0, 0, 0,
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

// Copies vectors of which only `count` floats are there.
INLINE void copy_vectors(const float *source, ptrdiff_t source_stride, ptrdiff_t vectors, ptrdiff_t count, float *target,
                         ptrdiff_t target_stride) {
  for (ptrdiff_t i = 0; i < vectors; i++) memcpy(target + i * target_stride, source + i * source_stride, sizeof(float) * count);
}

// What is no whole tile of whole vectors goes through a copy filled up with zeros.
INLINE void spread(const float *transform, int points, int side, int step, int origin, const float *x, ptrdiff_t height, ptrdiff_t width,
                   ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t tiles,
                   float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t panel_stride) {
  ptrdiff_t line = width * pixel_stride;
  float copy[9 * 9 * LANES], points_copy[9 * 9 * LANES];
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, planes += tile_stride) {
    ptrdiff_t top = tile / tiles_wide % tiles_high * step + origin, left = tile % tiles_wide * step + origin;
    const float *source = x + ((tile / (tiles_wide * tiles_high) * height + top) * width + left) * pixel_stride;
    extent e = inside(top, left, side, height, width);
    int whole = is_whole(e, side);
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = least(channels - c, LANES);
      float *target = planes + c / RD_PANEL * panel_stride + c % RD_PANEL;
      const float *tile_source = source + c;
      ptrdiff_t tile_line = line, tile_pixel = pixel_stride;
      if (!whole || count < LANES) {
        memset(copy, 0, sizeof(float) * side * side * LANES);
        for (ptrdiff_t i = e.top; i < e.bottom; i++)
          copy_vectors(tile_source + i * line + e.left * pixel_stride, pixel_stride, e.right - e.left, count,
                       copy + (i * side + e.left) * LANES, LANES);
        tile_source = copy;
        tile_line = side * LANES;
        tile_pixel = LANES;
      }
      int direct = count == LANES;
      spread_tile(transform, points, side, tile_source, tile_line, tile_pixel, direct ? target : points_copy, direct ? plane : LANES);
      if (!direct) copy_vectors(points_copy, LANES, points * points, count, target, plane);
    }
  }
}

INLINE void collect(const float *transform, int points, int side, const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height,
                    ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                    ptrdiff_t tiles, const float *bias, const float *residual, int relu, float *y) {
  ptrdiff_t line = width * pixel_stride;
  float copy[9 * 9 * LANES], points_copy[9 * 9 * LANES] = {0};
  for (ptrdiff_t tile = first; tile < first + tiles; tile++, planes += tile_stride) {
    ptrdiff_t top = tile / tiles_wide % tiles_high * side, left = tile % tiles_wide * side;
    ptrdiff_t place = ((tile / (tiles_wide * tiles_high) * height + top) * width + left) * pixel_stride;
    float *target = y + place;
    extent e = inside(top, left, side, height, width);
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
      ptrdiff_t count = least(channels - c, LANES);
      int direct = is_whole(e, side) && count == LANES;
      if (count < LANES) copy_vectors(planes + c, plane, points * points, count, points_copy, LANES);
      collect_tile(transform, points, side, count < LANES ? points_copy : planes + c, count < LANES ? LANES : plane,
                   direct ? target + c : copy, direct ? line : side * LANES, direct ? pixel_stride : LANES);
      for (ptrdiff_t i = 0; i < e.bottom && !direct; i++)
        copy_vectors(copy + i * side * LANES, LANES, e.right, count, target + c + i * line, pixel_stride);
    }
    for (ptrdiff_t i = 0; i < e.bottom && bias; i++)
      rd_add_bias(target + i * line, pixel_stride, bias, residual ? residual + place + i * line : NULL, pixel_stride, relu, e.right, channels);
  }
}

DISPATCHED
void rd_winograd_input(int stride, const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                       ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t tiles, float *planes, ptrdiff_t plane,
                       ptrdiff_t tile_stride, ptrdiff_t panel_stride) {
  if (stride == 1)
    spread(unit_input, 6, 6, 4, -1, x, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, planes, plane, tile_stride,
           panel_stride);
  else
    spread(strided_input, 9, 9, 8, -1, x, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, planes, plane,
           tile_stride, panel_stride);
}

DISPATCHED
void rd_winograd_output(int stride, const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                        ptrdiff_t tiles, const float *bias, const float *residual, int relu, float *y) {
  if (stride == 1)
    collect(unit_output, 6, 4, planes, plane, tile_stride, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, bias,
            residual, relu, y);
  else
    collect(strided_output, 9, 4, planes, plane, tile_stride, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, bias,
            residual, relu, y);
}

DISPATCHED
void rd_winograd_output_adjoint(int stride, const float *dy, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                                ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t tiles, float *planes, ptrdiff_t plane,
                                ptrdiff_t tile_stride, ptrdiff_t panel_stride) {
  if (stride == 1)
    spread(unit_output_adjoint, 6, 4, 4, 0, dy, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, planes, plane,
           tile_stride, panel_stride);
  else
    spread(strided_output_adjoint, 9, 4, 4, 0, dy, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, planes, plane,
           tile_stride, panel_stride);
}

DISPATCHED
void rd_winograd_strided_gradient(const float *dy, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                                  ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t tiles, float *planes, ptrdiff_t plane,
                                  ptrdiff_t tile_stride, ptrdiff_t panel_stride) {
  spread(strided_gradient, 9, 5, 4, 0, dy, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles, planes, plane,
         tile_stride, panel_stride);
}

DISPATCHED
void rd_winograd_strided_input_gradient(const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                                        ptrdiff_t tiles, float *dx) {
  collect(strided_input_gradient, 9, 8, planes, plane, tile_stride, height, width, pixel_stride, channels, tiles_high, tiles_wide, first, tiles,
          NULL, NULL, 0, dx);
}

// MARK: Weights

// Nine taps are a tile whose pixels are tap_stride apart, of which there is one for every weight of a plane.
INLINE void spread_taps(const float *transform, const float *weights, ptrdiff_t tap_stride, ptrdiff_t row_stride, ptrdiff_t rows,
                        ptrdiff_t columns, float *panels, ptrdiff_t plane, ptrdiff_t panel_stride) {
  for (ptrdiff_t r = 0; r < rows; r++, weights += row_stride, panels += RD_PANEL)
    for (ptrdiff_t c = 0; c < columns; c += LANES) {
      ptrdiff_t count = least(columns - c, LANES);
      float copy[9 * LANES] = {0};
      if (count < LANES) copy_vectors(weights + c, tap_stride, 9, count, copy, LANES);
      const float *source = count < LANES ? copy : weights + c;
      ptrdiff_t stride = count < LANES ? LANES : tap_stride;
      spread_tile(transform, 6, 3, source, 3 * stride, stride, panels + c / RD_PANEL * panel_stride + c % RD_PANEL, plane);
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
void rd_winograd_weights(int stride, const float *weights, ptrdiff_t tap_stride, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns,
                         float *panels, ptrdiff_t plane, ptrdiff_t panel_stride) {
  if (stride == 1)
    spread_taps(unit_weights, weights, tap_stride, row_stride, rows, columns, panels, plane, panel_stride);
  else
    spread_taps(strided_weights, weights, tap_stride, row_stride, rows, columns, panels, plane, panel_stride);
}

DISPATCHED
void rd_winograd_weights_adjoint(int stride, const float *planes, ptrdiff_t plane, ptrdiff_t weight_count, float *weights) {
  if (stride == 1)
    collect_taps(unit_weights_adjoint, planes, plane, weight_count, weights);
  else
    collect_taps(strided_weights_adjoint, planes, plane, weight_count, weights);
}
