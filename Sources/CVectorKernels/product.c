// Matrix products with panels: the inner loop of all convolutions. The compiler's vectors, not intrinsics, except where bf16 needs an instruction.
#include "CVectorKernels.h"
#include "bf16.h"
#include "dispatched.h"
#include "product_amx.h"
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
enum { PANEL = RD_PANEL };

// Asks for some lines of an area, and moves on to what follows them.
static void fetch_lines(rd_area *area, ptrdiff_t lines) {
  enum { LINE = 64 };
  for (; lines > 0 && area->runs > 0; lines--) {
    __builtin_prefetch(area->next, 0, 2);
    area->next += LINE;
    area->left -= LINE;
    if (area->left > 0) continue;
    area->runs--;
    area->next += area->left + area->stride - area->bytes;
    area->left = area->bytes;
  }
}

// With a tile of a product, so much that memory keeps up.
INLINE void fetch(rd_ahead *ahead, ptrdiff_t depth) {
  if (!ahead) return;
  fetch_lines(&ahead->first, depth / 4);
  fetch_lines(&ahead->second, depth / 4);
}

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma"))), apply_to = function)
#define NAME(x) x##_avx512_bf16
#define LANES 16
#define ROWS 12
#if __clang_major__ < 18
// Older compilers crash where a broadcast becomes a vector of bf16.
#define ADD_PAIRS(s, a, b) __asm__("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(a), "v"(b))
#else
#define ADD_PAIRS(s, a, b) s = (vector_avx512_bf16)_mm512_dpbf16_ps((__m512)(s), (__m512bh)(a), (__m512bh)(b))
#endif
#include "product_tiles.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#define NAME(x) x##_avx512
#define LANES 16
#define ROWS 12
#include "product_tiles.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define NAME(x) x##_avx2
#define LANES 8
#define ROWS 6
#include "product_tiles.h"
#pragma clang attribute pop
#endif

#define NAME(x) x##_portable
#define LANES 4
#define ROWS 4
#include "product_tiles.h"

int rd_best_instructions(void) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return RD_PORTABLE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return RD_AVX2;
  if (!__builtin_cpu_supports("avx512bf16")) return RD_AVX512;
  return rd_has_amx() ? RD_AMX : RD_AVX512_BF16;
#else
  return RD_PORTABLE;
#endif
}

typedef void panel_product(ptrdiff_t rows, ptrdiff_t depth, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *b, float *c,
                           ptrdiff_t c_stride, int adding, rd_ahead *ahead);

static panel_product *product_for(int instructions, int paired) {
#if defined(__x86_64__)
  switch (instructions) {
  case RD_AMX:
  case RD_AVX512_BF16:
    return paired ? paired_panel_avx512_bf16 : panel_avx512_bf16;
  case RD_AVX512:
    return paired ? paired_panel_avx512 : panel_avx512;
  case RD_AVX2:
    return paired ? paired_panel_avx2 : panel_avx2;
  }
#endif
  return paired ? paired_panel_portable : panel_portable;
}

// The depth that is gone through in one stretch: a panel of it stays in the core's nearest caches while the rows pass.
enum { STRETCH = 512 };

// Floats and pairs of bf16 have the same size.
void rd_multiply_panels(int instructions, int paired, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *panels,
                        ptrdiff_t panel_stride, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, float *c, ptrdiff_t c_stride, int adding,
                        rd_ahead *ahead) {
#if defined(__x86_64__) && defined(__linux__)
  if (instructions == RD_AMX && paired) {
    rd_multiply_panels_amx(a, row_stride, depth_stride, panels, panel_stride, rows, columns, depth, c, c_stride, adding);
    return;
  }
#endif
  panel_product *product = product_for(instructions, paired);
  for (ptrdiff_t k = 0; k < depth; k += STRETCH) {
    ptrdiff_t stretch = depth - k < STRETCH ? depth - k : STRETCH;
    for (ptrdiff_t column = 0; column < columns; column += PANEL) {
      const char *left = (const char *)a + 4 * k * depth_stride, *right = (const char *)panels + 4 * (column / PANEL * panel_stride + k * PANEL);
      ptrdiff_t width = columns - column;
      if (width >= PANEL) {
        product(rows, stretch, left, row_stride, depth_stride, right, c + column, c_stride, adding || k > 0, ahead);
        continue;
      }
      // The last panel is wider than what is left of c.
      for (ptrdiff_t first = 0; first < rows; first += 8) {
        ptrdiff_t count = rows - first < 8 ? rows - first : 8;
        float part[8 * PANEL] = {0};
        float *target = c + first * c_stride + column;
        if (adding || k > 0)
          for (ptrdiff_t i = 0; i < count; i++) memcpy(part + i * PANEL, target + i * c_stride, sizeof(float) * width);
        product(count, stretch, left + 4 * first * row_stride, row_stride, depth_stride, right, part, PANEL, 1, ahead);
        for (ptrdiff_t i = 0; i < count; i++) memcpy(target + i * c_stride, part + i * PANEL, sizeof(float) * width);
      }
    }
  }
}

// MARK: Packing

enum { LANES = 16, STRIP = 32 };
typedef float lanes __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint32_t words __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint16_t halves __attribute__((vector_size(LANES * 2), aligned(2)));

// Transposes 16 x 16 in four steps, each of which exchanges the off-diagonal blocks of half the size.
INLINE void transpose_block(const float *in, ptrdiff_t in_stride, float *out, ptrdiff_t out_stride) {
  lanes r[16];
  for (int i = 0; i < 16; i++) memcpy(&r[i], in + i * in_stride, sizeof r[i]);
#define EXCHANGE(s, ...)                                                                           \
  for (int i = 0; i < 16; i++)                                                                     \
    if (!(i & s)) {                                                                                \
      lanes a = r[i], b = r[i + s];                                                                \
      r[i] = __builtin_shufflevector(a, b, LOW_##s);                                               \
      r[i + s] = __builtin_shufflevector(a, b, HIGH_##s);                                          \
    }
#define LOW_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
  EXCHANGE(8)
  EXCHANGE(4)
  EXCHANGE(2)
  EXCHANGE(1)
  for (int i = 0; i < 16; i++) memcpy(out + i * out_stride, &r[i], sizeof r[i]);
}

DISPATCHED
void rd_transpose(const float *in, ptrdiff_t in_stride, ptrdiff_t rows, ptrdiff_t columns, float *out, ptrdiff_t out_stride) {
  for (ptrdiff_t r = 0; r < rows; r += 16)
    for (ptrdiff_t c = 0; c < columns; c += 16) {
      ptrdiff_t height = rows - r < 16 ? rows - r : 16, width = columns - c < 16 ? columns - c : 16;
      if (height == 16 && width == 16) {
        transpose_block(in + r * in_stride + c, in_stride, out + c * out_stride + r, out_stride);
        continue;
      }
      for (ptrdiff_t i = 0; i < height; i++)
        for (ptrdiff_t j = 0; j < width; j++) out[(c + j) * out_stride + r + i] = in[(r + i) * in_stride + c + j];
    }
}

void rd_pack_panels(const float *b, ptrdiff_t row_stride, ptrdiff_t column_stride, ptrdiff_t rows, ptrdiff_t columns, float *panels,
                    ptrdiff_t panel_stride) {
  ptrdiff_t whole = columns / PANEL * PANEL, rest = columns - whole;
  float *last = panels + columns / PANEL * panel_stride;
  if (rest > 0) memset(last, 0, sizeof(float) * rows * PANEL);
  if (column_stride == 1) {
    // Row by row, as memory is read best.
    for (ptrdiff_t r = 0; r < rows; r++, b += row_stride) {
      for (ptrdiff_t c = 0; c < whole; c += PANEL) memcpy(panels + c / PANEL * panel_stride + r * PANEL, b + c, sizeof(float) * PANEL);
      memcpy(last + r * PANEL, b + whole, sizeof(float) * rest);
    }
  } else {
    for (ptrdiff_t c = 0; c < whole; c += PANEL)
      rd_transpose(b + c * column_stride, column_stride, PANEL, rows, panels + c / PANEL * panel_stride, PANEL);
    rd_transpose(b + whole * column_stride, column_stride, rest, rows, last, PANEL);
  }
}

// To the nearest bf16, ties to even, in the upper half of a word, whose lower half is of no meaning. A NaN stays one.
INLINE void round_words(words *of) {
  lanes value;
  memcpy(&value, of, sizeof value);
  words w = *of, nearest = w + 0x7fffu + ((w >> 16) & 1u), nan = (words)(value != value);
  *of = (nan & (w | 0x00400000u)) | (~nan & nearest);
}

// 16 values in bf16, each in the lower half of a word.
INLINE void lower_halves(const void *x, ptrdiff_t i, int is_bf16, words *w) {
  if (is_bf16) {
    halves h;
    memcpy(&h, (const uint16_t *)x + i, sizeof h);
    *w = __builtin_convertvector(h, words);
  } else {
    memcpy(w, (const float *)x + i, sizeof *w);
    round_words(w);
    *w >>= 16;
  }
}

INLINE uint32_t lower_half(const void *x, ptrdiff_t i, int is_bf16) { return is_bf16 ? ((const uint16_t *)x)[i] : bf16_of(((const float *)x)[i]); }

// What is under the first values joins them, if there is a second row.
INLINE void store_joined(const words *first, const void *x, ptrdiff_t i, int is_bf16, int is_whole, uint32_t *pairs) {
  words second = {0};
  if (is_whole) lower_halves(x, i, is_bf16, &second);
  second = *first | second << 16;
  memcpy(pairs, &second, sizeof second);
}

// Joins two rows and the next two, with panel_stride between the first words of a panel's columns and the next one's.
INLINE void join_rows(const void *x, int is_bf16, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs, ptrdiff_t pair_stride,
                      ptrdiff_t panel_stride) {
  for (ptrdiff_t r = 0; r < rows; r += 2, pairs += pair_stride) {
    ptrdiff_t even = r * row_stride, odd = even + row_stride, c = 0;
    int is_whole = r + 1 < rows;
    // Long rows a stretch of the one after the other: memory gives what follows at twice the speed of what alternates.
    while (columns >= 8 * LANES && c + LANES <= columns) {
      words firsts[STRIP];
      ptrdiff_t vectors = (columns - c) / LANES < STRIP ? (columns - c) / LANES : STRIP;
      for (ptrdiff_t i = 0; i < vectors; i++) {
        words first;
        lower_halves(x, even + c + i * LANES, is_bf16, &first);
        firsts[i] = first;
      }
      for (ptrdiff_t i = 0; i < vectors; i++, c += LANES)
        store_joined(&firsts[i], x, odd + c, is_bf16, is_whole, pairs + c / PANEL * panel_stride + c % PANEL);
    }
    for (; c + LANES <= columns; c += LANES) {
      words first;
      lower_halves(x, even + c, is_bf16, &first);
      store_joined(&first, x, odd + c, is_bf16, is_whole, pairs + c / PANEL * panel_stride + c % PANEL);
    }
    for (; c < columns; c++)
      pairs[c / PANEL * panel_stride + c % PANEL] = lower_half(x, even + c, is_bf16) | (is_whole ? lower_half(x, odd + c, is_bf16) << 16 : 0);
  }
}

DISPATCHED
void rd_pair_rows(const void *x, int is_bf16, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs, ptrdiff_t pair_stride) {
  if (is_bf16)
    join_rows(x, 1, row_stride, rows, columns, pairs, pair_stride, PANEL);
  else
    join_rows(x, 0, row_stride, rows, columns, pairs, pair_stride, PANEL);
}

DISPATCHED
void rd_pair_columns(const float *x, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs, ptrdiff_t pair_stride) {
  for (ptrdiff_t r = 0; r < rows; r++, x += row_stride, pairs += pair_stride) {
    ptrdiff_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
      words w;
      memcpy(&w, x + c, sizeof w);
      round_words(&w);
      halves h = __builtin_convertvector(w >> 16, halves);
      memcpy((char *)pairs + 2 * c, &h, sizeof h);
    }
    for (; c < columns; c += 2) {
      float values[2] = {x[c], c + 1 < columns ? x[c + 1] : 0};
      uint16_t halves[2] = {bf16_of(values[0]), bf16_of(values[1])};
      memcpy(pairs + c / 2, halves, sizeof halves);
    }
  }
}

DISPATCHED
void rd_pair_panels(const void *b, int is_bf16, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *panels, ptrdiff_t panel_stride) {
  if (columns % PANEL > 0) memset(panels + columns / PANEL * panel_stride, 0, sizeof(uint32_t) * ((rows + 1) / 2) * PANEL);
  if (is_bf16)
    join_rows(b, 1, row_stride, rows, columns, panels, PANEL, panel_stride);
  else
    join_rows(b, 0, row_stride, rows, columns, panels, PANEL, panel_stride);
}

void rd_pair_turned_panels(const float *b, ptrdiff_t column_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *panels, ptrdiff_t panel_stride) {
  for (ptrdiff_t column = 0; column < columns; column += PANEL, panels += panel_stride) {
    ptrdiff_t width = columns - column < PANEL ? columns - column : PANEL;
    const float *source = b + column * column_stride;
    if (width < PANEL) memset(panels, 0, sizeof(uint32_t) * ((rows + 1) / 2) * PANEL);
    for (ptrdiff_t r = 0; r < rows; r += LANES) {
      float part[LANES * PANEL];
      ptrdiff_t count = rows - r < LANES ? rows - r : LANES;
      rd_transpose(source + r, column_stride, width, count, part, PANEL);
      rd_pair_rows(part, 0, PANEL, count, width, panels + r / 2 * PANEL, PANEL);
    }
  }
}
