#include "CVectorKernels.h"
#include "bf16.h"
#include "dispatched.h"
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

// Values are floats or bf16; which of them, is a constant wherever these are called.
INLINE float value_at(const void *x, ptrdiff_t i, int is_bf16) {
  if (!is_bf16) return ((const float *)x)[i];
  uint32_t w = (uint32_t)((const uint16_t *)x)[i] << 16;
  float value;
  memcpy(&value, &w, sizeof value);
  return value;
}

INLINE void set_value(void *y, ptrdiff_t i, int is_bf16, float value) {
  if (is_bf16)
    ((uint16_t *)y)[i] = bf16_of(value);
  else
    ((float *)y)[i] = value;
}

// The address of value i.
INLINE const void *advanced(const void *x, ptrdiff_t i, int is_bf16) { return (const char *)x + i * (ptrdiff_t)(is_bf16 ? 2 : 4); }

INLINE void moments(const void *x, int is_bf16, ptrdiff_t rows, ptrdiff_t channels, double *restrict sum, double *restrict squares) {
  for (ptrdiff_t r = 0; r < rows; r++, x = advanced(x, channels, is_bf16))
    for (ptrdiff_t c = 0; c < channels; c++) {
      double v = value_at(x, c, is_bf16);
      sum[c] += v;
      squares[c] += v * v;
    }
}

DISPATCHED
void rd_channel_moments(const void *x, int is_bf16, ptrdiff_t rows, ptrdiff_t channels, double *sum, double *squares) {
  if (is_bf16)
    moments(x, 1, rows, channels, sum, squares);
  else
    moments(x, 0, rows, channels, sum, squares);
}

// Comparisons are such that a NaN stays one. y may be residual: the pragma tells the compiler that nothing else overlaps.
INLINE void affine(const void *x, int x_is_bf16, const float *scale, const float *shift, const void *residual, int residual_is_bf16, int relu,
                   void *y, int y_is_bf16, ptrdiff_t y_stride, ptrdiff_t rows, ptrdiff_t channels) {
  for (ptrdiff_t r = 0; r < rows; r++) {
#pragma clang loop vectorize(assume_safety)
    for (ptrdiff_t c = 0; c < channels; c++) {
      float v = value_at(x, c, x_is_bf16) * scale[c] + shift[c];
      if (residual) v += value_at(residual, c, residual_is_bf16);
      set_value(y, c, y_is_bf16, relu && v < 0 ? 0 : v);
    }
    x = advanced(x, channels, x_is_bf16);
    y = (void *)advanced(y, y_stride, y_is_bf16);
    if (residual) residual = advanced(residual, channels, residual_is_bf16);
  }
}

DISPATCHED
void rd_affine(const void *x, int x_is_bf16, const float *scale, const float *shift, const void *residual, int residual_is_bf16, int relu,
               void *y, int y_is_bf16, ptrdiff_t y_stride, ptrdiff_t rows, ptrdiff_t channels) {
#define CASE(x_type, residual_type, y_type, has_residual)                                                                       \
  if (x_is_bf16 == x_type && y_is_bf16 == y_type && !residual == !has_residual && (!residual || residual_is_bf16 == residual_type)) { \
    const void *added = has_residual ? residual : NULL;                                                                         \
    if (relu)                                                                                                                   \
      affine(x, x_type, scale, shift, added, residual_type, 1, y, y_type, y_stride, rows, channels);                            \
    else                                                                                                                        \
      affine(x, x_type, scale, shift, added, residual_type, 0, y, y_type, y_stride, rows, channels);                            \
    return;                                                                                                                     \
  }
  CASE(0, 0, 0, 0)
  CASE(0, 0, 0, 1)
  CASE(1, 0, 0, 0)
  CASE(1, 0, 0, 1)
  CASE(1, 1, 0, 1)
  CASE(1, 0, 1, 0)
  CASE(1, 0, 1, 1)
  CASE(1, 1, 1, 1)
#undef CASE
  __builtin_trap();
}

DISPATCHED
void rd_add_bias(float *restrict y, ptrdiff_t y_stride, const float *bias, const float *residual, ptrdiff_t residual_stride, int activation,
                 ptrdiff_t rows, ptrdiff_t channels) {
  float least = activation == RD_LINEAR ? -INFINITY : 0, most = activation == RD_RELU6 ? 6 : INFINITY;
  for (ptrdiff_t r = 0; r < rows; r++, y += y_stride) {
    if (residual) {
      for (ptrdiff_t c = 0; c < channels; c++) {
        float v = y[c] + bias[c] + residual[c];
        y[c] = v < least ? least : v > most ? most : v;
      }
      residual += residual_stride;
    } else {
      for (ptrdiff_t c = 0; c < channels; c++) {
        float v = y[c] + bias[c];
        y[c] = v < least ? least : v > most ? most : v;
      }
    }
  }
}

// Whether y let its gradient through ReLU, where y is x * scale + shift.
INLINE int passes(float x, const float *scale, const float *shift, ptrdiff_t c) { return x * scale[c] + shift[c] > 0; }

INLINE void gradient_sums(const void *x, int x_is_bf16, const float *mean, const float *inverse_deviation, const float *scale,
                          const float *shift, const void *y, int y_is_bf16, ptrdiff_t y_stride, void *restrict dy, int dy_is_bf16,
                          ptrdiff_t dy_stride, ptrdiff_t rows, ptrdiff_t channels, double *restrict sum, double *restrict sum_normalised) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    if (y) {
      for (ptrdiff_t c = 0; c < channels; c++)
        set_value(dy, c, dy_is_bf16, value_at(y, c, y_is_bf16) > 0 ? value_at(dy, c, dy_is_bf16) : 0);
      y = advanced(y, y_stride, y_is_bf16);
    }
    for (ptrdiff_t c = 0; c < channels; c++) {
      float value = value_at(x, c, x_is_bf16), g = value_at(dy, c, dy_is_bf16);
      if (scale) g = passes(value, scale, shift, c) ? g : 0;
      sum[c] += (double)g;
      sum_normalised[c] += (double)(g * ((value - mean[c]) * inverse_deviation[c]));
    }
    x = advanced(x, channels, x_is_bf16);
    dy = (void *)advanced(dy, dy_stride, dy_is_bf16);
  }
}

DISPATCHED
void rd_batch_norm_gradient_sums(const void *x, int x_is_bf16, const float *mean, const float *inverse_deviation, const float *scale,
                                 const float *shift, const void *y, int y_is_bf16, ptrdiff_t y_stride, void *dy, int dy_is_bf16,
                                 ptrdiff_t dy_stride, ptrdiff_t rows, ptrdiff_t channels, double *sum, double *sum_normalised) {
#define CASE(x_type, y_type, dy_type, has_y)                                                                                               \
  if (x_is_bf16 == x_type && dy_is_bf16 == dy_type && !y == !has_y && (!y || y_is_bf16 == y_type)) {                                       \
    const void *output = has_y ? y : NULL;                                                                                                 \
    if (scale)                                                                                                                             \
      gradient_sums(x, x_type, mean, inverse_deviation, scale, shift, output, y_type, y_stride, dy, dy_type, dy_stride, rows, channels,     \
                    sum, sum_normalised);                                                                                                  \
    else                                                                                                                                   \
      gradient_sums(x, x_type, mean, inverse_deviation, NULL, shift, output, y_type, y_stride, dy, dy_type, dy_stride, rows, channels, sum, \
                    sum_normalised);                                                                                                       \
    return;                                                                                                                                \
  }
  CASE(0, 0, 0, 0)
  CASE(0, 0, 0, 1)
  CASE(1, 0, 0, 0)
  CASE(1, 0, 0, 1)
  CASE(1, 1, 0, 1)
  CASE(1, 0, 1, 0)
#undef CASE
  __builtin_trap();
}

// dx may be x: the pragma tells the compiler that nothing else overlaps.
INLINE void input_gradient(const void *x, const float *scale, const float *shift, const void *dy, int dy_is_bf16, ptrdiff_t dy_stride,
                           const float *a, const float *b, const float *c, void *dx, int is_bf16, ptrdiff_t rows, ptrdiff_t channels) {
  for (ptrdiff_t r = 0; r < rows; r++) {
#pragma clang loop vectorize(assume_safety)
    for (ptrdiff_t i = 0; i < channels; i++) {
      float value = value_at(x, i, is_bf16), g = value_at(dy, i, dy_is_bf16);
      if (scale) g = passes(value, scale, shift, i) ? g : 0;
      set_value(dx, i, is_bf16, g * a[i] + value * b[i] + c[i]);
    }
    x = advanced(x, channels, is_bf16);
    dx = (void *)advanced(dx, channels, is_bf16);
    dy = advanced(dy, dy_stride, dy_is_bf16);
  }
}

DISPATCHED
void rd_batch_norm_input_gradient(const void *x, const float *scale, const float *shift, const void *dy, int dy_is_bf16, ptrdiff_t dy_stride,
                                  const float *a, const float *b, const float *c, void *dx, int is_bf16, ptrdiff_t rows, ptrdiff_t channels) {
#define CASE(x_type, dy_type)                                                                                   \
  if (is_bf16 == x_type && dy_is_bf16 == dy_type) {                                                             \
    if (scale)                                                                                                  \
      input_gradient(x, scale, shift, dy, dy_type, dy_stride, a, b, c, dx, x_type, rows, channels);             \
    else                                                                                                        \
      input_gradient(x, NULL, NULL, dy, dy_type, dy_stride, a, b, c, dx, x_type, rows, channels);               \
    return;                                                                                                     \
  }
  CASE(0, 0)
  CASE(1, 0)
  CASE(1, 1)
#undef CASE
  __builtin_trap();
}

DISPATCHED
void rd_sum(const float *a, const float *b, float *y, ptrdiff_t count) {
#pragma clang loop vectorize(assume_safety)
  for (ptrdiff_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

DISPATCHED
void rd_add(const float *x, float *restrict y, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i++) y[i] += x[i];
}

// 16 running sums, added pairwise at the end: an order that the width of the vectors does not change.
DISPATCHED
void rd_inner_products(const float *u, const float *v, ptrdiff_t count, double *dots) {
  double uv[16] = {0}, uu[16] = {0}, vv[16] = {0};
  ptrdiff_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int l = 0; l < 16; l++) {
      double a = u[i + l], b = v[i + l];
      uv[l] += a * b;
      uu[l] += a * a;
      vv[l] += b * b;
    }
  for (int l = 0; i < count; i++, l++) {
    double a = u[i], b = v[i];
    uv[l] += a * b;
    uu[l] += a * a;
    vv[l] += b * b;
  }
  for (int half = 8; half > 0; half /= 2)
    for (int l = 0; l < half; l++) {
      uv[l] += uv[l + half];
      uu[l] += uu[l + half];
      vv[l] += vv[l + half];
    }
  dots[0] += uv[0];
  dots[1] += uu[0];
  dots[2] += vv[0];
}

// The inner products of two vectors in 16 running sums, added pairwise at the end.
static inline __attribute__((always_inline)) void short_inner_products(const float *u, const float *v, ptrdiff_t count, float *uv, float *uu,
                                                                       float *vv) {
  float a[16] = {0}, b[16] = {0}, c[16] = {0};
  ptrdiff_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int l = 0; l < 16; l++) {
      a[l] += u[i + l] * v[i + l];
      b[l] += u[i + l] * u[i + l];
      c[l] += v[i + l] * v[i + l];
    }
  for (int l = 0; i < count; i++, l++) {
    a[l] += u[i] * v[i];
    b[l] += u[i] * u[i];
    c[l] += v[i] * v[i];
  }
  for (int half = 8; half > 0; half /= 2)
    for (int l = 0; l < half; l++) {
      a[l] += a[l + half];
      b[l] += b[l + half];
      c[l] += c[l + half];
    }
  *uv = a[0];
  *uu = b[0];
  *vv = c[0];
}

static inline float norm(float squares, float least) {
  float n = sqrtf(squares);
  return n < least ? least : n;
}

DISPATCHED
void rd_pixel_distances(const float *u, const float *v, ptrdiff_t pixels, ptrdiff_t channels, float least_norm, float *distances) {
  for (ptrdiff_t p = 0; p < pixels; p++, u += channels, v += channels) {
    float uv, uu, vv;
    short_inner_products(u, v, channels, &uv, &uu, &vv);
    distances[p] = 1 - uv / (norm(uu, least_norm) * norm(vv, least_norm));
  }
}

DISPATCHED
void rd_pixel_distance_gradient(const float *u, const float *v, ptrdiff_t pixels, ptrdiff_t channels, float least_norm, float factor, int adding,
                                float *restrict dv) {
  for (ptrdiff_t p = 0; p < pixels; p++, u += channels, v += channels, dv += channels) {
    float uv, uu, vv;
    short_inner_products(u, v, channels, &uv, &uu, &vv);
    float nu = norm(uu, least_norm), nv = norm(vv, least_norm);
    float along_u = -factor / (nu * nv);
    // A norm that was clamped does not change with v.
    float along_v = nv > least_norm ? factor * uv / (nu * nv * nv * nv) : 0;
    if (adding)
      for (ptrdiff_t c = 0; c < channels; c++) dv[c] += along_u * u[c] + along_v * v[c];
    else
      for (ptrdiff_t c = 0; c < channels; c++) dv[c] = along_u * u[c] + along_v * v[c];
  }
}

DISPATCHED
void rd_combine(float a, const float *u, float b, const float *v, int adding, float *restrict y, ptrdiff_t count) {
  if (adding)
    for (ptrdiff_t i = 0; i < count; i++) y[i] += a * u[i] + b * v[i];
  else
    for (ptrdiff_t i = 0; i < count; i++) y[i] = a * u[i] + b * v[i];
}

// sqrtf sets errno, which keeps a loop from becoming vectors.
INLINE float square_root(float x) {
#if __has_builtin(__builtin_elementwise_sqrt)
  return __builtin_elementwise_sqrt(x);
#else
  return sqrtf(x);
#endif
}

DISPATCHED
void rd_adam(float *restrict parameter, float *restrict first_moment, float *restrict second_moment, const float *restrict gradient,
             ptrdiff_t count, float one_minus_beta1, float beta2, float one_minus_beta2, float step_size, float inverse_root_correction2,
             float epsilon) {
  for (ptrdiff_t i = 0; i < count; i++) {
    float g = gradient[i];
    float m = first_moment[i] + (g - first_moment[i]) * one_minus_beta1;
    float v = second_moment[i] * beta2 + one_minus_beta2 * g * g;
    first_moment[i] = m;
    second_moment[i] = v;
    parameter[i] -= step_size * (m / (square_root(v) * inverse_root_correction2 + epsilon));
  }
}

INLINE ptrdiff_t clamped(ptrdiff_t value, ptrdiff_t most) { return value < 0 ? 0 : value > most ? most : value; }

void rd_patches(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t window_width, ptrdiff_t stride,
                ptrdiff_t top, ptrdiff_t left, ptrdiff_t rows_high, ptrdiff_t rows_wide, ptrdiff_t first, ptrdiff_t rows,
                ptrdiff_t first_column, ptrdiff_t columns, float *patches) {
  ptrdiff_t line = window_width * channels;
  for (ptrdiff_t r = first; r < first + rows; r++) {
    ptrdiff_t image = r / (rows_high * rows_wide), row = r / rows_wide % rows_high * stride + top, column = r % rows_wide * stride + left;
    const float *source = x + ((image * height + row) * width + column) * channels;
    // The part of a window's line that lies inside the image is one run of memory.
    ptrdiff_t begin = clamped(-column, window_width) * channels, end = clamped(width - column, window_width) * channels;
    for (ptrdiff_t c = first_column, next; c < first_column + columns; c = next) {
      ptrdiff_t y = c / line, from = c % line, to = clamped(from + first_column + columns - c, line);
      next = c + to - from;
      ptrdiff_t start = clamped(begin, to) < from ? from : clamped(begin, to), stop = clamped(end, to);
      if (row + y < 0 || row + y >= height || stop <= start) {
        memset(patches, 0, sizeof(float) * (to - from));
      } else {
        memset(patches, 0, sizeof(float) * (start - from));
        memcpy(patches + start - from, source + y * width * channels + start, sizeof(float) * (stop - start));
        memset(patches + stop - from, 0, sizeof(float) * (to - stop));
      }
      patches += to - from;
    }
  }
}

void rd_place_rows(const float *values, ptrdiff_t columns, ptrdiff_t rows_high, ptrdiff_t rows_wide, ptrdiff_t first, ptrdiff_t rows, int adding,
                   float *y, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t stride, ptrdiff_t top, ptrdiff_t left) {
  for (ptrdiff_t r = first; r < first + rows; r++, values += columns) {
    ptrdiff_t image = r / (rows_high * rows_wide), row = r / rows_wide % rows_high * stride + top, column = r % rows_wide * stride + left;
    float *target = y + ((image * height + row) * width + column) * channels;
    if (adding)
      for (ptrdiff_t c = 0; c < columns; c++) target[c] += values[c];
    else
      memcpy(target, values, sizeof(float) * columns);
  }
}

DISPATCHED
void rd_patches_adjoint(const float *patches, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t kernel, ptrdiff_t stride,
                        ptrdiff_t padding, ptrdiff_t out_height, ptrdiff_t out_width, ptrdiff_t images, int adding, float *dx) {
  if (!adding) memset(dx, 0, sizeof(float) * images * height * width * channels);
  for (ptrdiff_t n = 0; n < images; n++, dx += height * width * channels)
    for (ptrdiff_t oy = 0; oy < out_height; oy++)
      for (ptrdiff_t ox = 0; ox < out_width; ox++)
        for (ptrdiff_t ky = 0; ky < kernel; ky++)
          for (ptrdiff_t kx = 0; kx < kernel; kx++, patches += channels) {
            ptrdiff_t iy = oy * stride + ky - padding, ix = ox * stride + kx - padding;
            if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
            float *target = dx + (iy * width + ix) * channels;
            for (ptrdiff_t c = 0; c < channels; c++) target[c] += patches[c];
          }
}

DISPATCHED
void rd_max_pool(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, float *y) {
  for (ptrdiff_t oy = 0; oy < (height + 1) / 2; oy++)
    for (ptrdiff_t ox = 0; ox < (width + 1) / 2; ox++, y += channels) {
      // The window's centre always lies inside the image, so no value stands for minus infinity.
      memcpy(y, x + (2 * oy * width + 2 * ox) * channels, sizeof(float) * channels);
      for (ptrdiff_t iy = 2 * oy - 1; iy <= 2 * oy + 1; iy++)
        for (ptrdiff_t ix = 2 * ox - 1; ix <= 2 * ox + 1; ix++) {
          if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
          const float *source = x + (iy * width + ix) * channels;
          for (ptrdiff_t c = 0; c < channels; c++) y[c] = source[c] > y[c] || source[c] != source[c] ? source[c] : y[c];
        }
    }
}
