// Products in bf16 by a matrix unit (AMX): a tile is 16 rows of 64 bytes, and one instruction multiplies 16 x 16 words by 16 x 16 words, each word a pair.
#include "product_amx.h"
#include "CVectorKernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INLINE static inline __attribute__((always_inline))
#define TILES __attribute__((target("amx-tile,amx-bf16")))

enum { SIDE = 16, PANEL = RD_PANEL, ROWS = 2 * SIDE };
// The sums of two by two tiles, and the tiles of either factor that meet in them.
enum { SUM_00, SUM_01, SUM_10, SUM_11, LEFT_0, LEFT_1, RIGHT_0, RIGHT_1 };
_Static_assert(PANEL == 2 * SIDE, "a panel is two tiles wide");

int rd_has_amx(void) {
  unsigned a, b, c, d;
  enum { BF16 = 1 << 22, TILE = 1 << 24 };
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (BF16 | TILE)) != (BF16 | TILE)) return 0;
  // Linux saves the tiles of processes only that have asked for it (ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

// The shapes of all tiles, for products of `rows` rows of `words` words.
TILES static void configure(int rows, int words) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } __attribute__((aligned(64))) shapes = {.palette = 1};
  for (int tile = SUM_00; tile <= RIGHT_1; tile++) {
    int is_left = tile == LEFT_0 || tile == LEFT_1, is_lower = tile == SUM_10 || tile == SUM_11 || tile == LEFT_1;
    int height = is_lower ? rows - SIDE : rows;
    if (tile >= RIGHT_0) height = words;
    if (height <= 0) continue;
    shapes.rows[tile] = height < SIDE ? height : SIDE;
    shapes.row_bytes[tile] = 4 * (is_left ? words : SIDE);
  }
  _tile_loadconfig(&shapes);
}

// c[16 or 32][32] (+)= a * b, as configured, for steps of so many words until the depth is reached. The sums begin with c's, or with zero.
TILES INLINE void multiply(int is_tall, ptrdiff_t depth, ptrdiff_t words, const uint32_t *a, ptrdiff_t a_stride, const uint32_t *b, float *c,
                           ptrdiff_t c_stride, int adding) {
  if (adding) {
    _tile_loadd(SUM_00, c, 4 * c_stride);
    _tile_loadd(SUM_01, c + SIDE, 4 * c_stride);
    if (is_tall) _tile_loadd(SUM_10, c + SIDE * c_stride, 4 * c_stride);
    if (is_tall) _tile_loadd(SUM_11, c + SIDE * c_stride + SIDE, 4 * c_stride);
  } else {
    _tile_zero(SUM_00);
    _tile_zero(SUM_01);
    if (is_tall) _tile_zero(SUM_10);
    if (is_tall) _tile_zero(SUM_11);
  }
  for (ptrdiff_t k = 0; k < depth; k += words) {
    _tile_loadd(LEFT_0, a + k, 4 * a_stride);
    _tile_loadd(RIGHT_0, b + k * PANEL, 4 * PANEL);
    _tile_dpbf16ps(SUM_00, LEFT_0, RIGHT_0);
    _tile_loadd(RIGHT_1, b + k * PANEL + SIDE, 4 * PANEL);
    _tile_dpbf16ps(SUM_01, LEFT_0, RIGHT_1);
    if (is_tall) _tile_loadd(LEFT_1, a + SIDE * a_stride + k, 4 * a_stride);
    if (is_tall) _tile_dpbf16ps(SUM_10, LEFT_1, RIGHT_0);
    if (is_tall) _tile_dpbf16ps(SUM_11, LEFT_1, RIGHT_1);
  }
  _tile_stored(SUM_00, c, 4 * c_stride);
  _tile_stored(SUM_01, c + SIDE, 4 * c_stride);
  if (is_tall) _tile_stored(SUM_10, c + SIDE * c_stride, 4 * c_stride);
  if (is_tall) _tile_stored(SUM_11, c + SIDE * c_stride + SIDE, 4 * c_stride);
}

// A stretch of the depth that is whole steps of `words` words.
TILES static void multiply_stretch(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, ptrdiff_t words, const uint32_t *a, ptrdiff_t row_stride,
                                   ptrdiff_t depth_stride, const uint32_t *panels, ptrdiff_t panel_stride, float *c, ptrdiff_t c_stride, int adding) {
  // Rows are turned so that their words lie together, once for all panels.
  uint32_t turned[ROWS * RD_AMX_STRETCH];
  for (ptrdiff_t row = 0; row < rows; row += ROWS) {
    ptrdiff_t height = rows - row < ROWS ? rows - row : ROWS;
    if (row == 0 || height < ROWS) configure(height, words);
    const uint32_t *left = a + row * row_stride;
    ptrdiff_t stride = row_stride;
    if (depth_stride != 1) {
      rd_transpose((const float *)left, depth_stride, depth, height, (float *)turned, depth);
      left = turned;
      stride = depth;
    }
    for (ptrdiff_t column = 0; column < columns; column += PANEL) {
      const uint32_t *right = panels + column / PANEL * panel_stride;
      ptrdiff_t width = columns - column < PANEL ? columns - column : PANEL;
      float part[ROWS * PANEL], *whole = c + row * c_stride + column, *target = whole;
      ptrdiff_t target_stride = c_stride;
      // The last panel is wider than what is left of c.
      if (width < PANEL) {
        target = part;
        target_stride = PANEL;
        for (ptrdiff_t i = 0; adding && i < height; i++)
          for (ptrdiff_t j = 0; j < PANEL; j++) part[i * PANEL + j] = j < width ? whole[i * c_stride + j] : 0;
      }
      if (height > SIDE)
        multiply(1, depth, words, left, stride, right, target, target_stride, adding);
      else
        multiply(0, depth, words, left, stride, right, target, target_stride, adding);
      for (ptrdiff_t i = 0; width < PANEL && i < height; i++)
        for (ptrdiff_t j = 0; j < width; j++) whole[i * c_stride + j] = part[i * PANEL + j];
    }
  }
}

TILES void rd_multiply_panels_amx(const uint32_t *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const uint32_t *panels, ptrdiff_t panel_stride,
                                  ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, float *c, ptrdiff_t c_stride, int adding) {
  ptrdiff_t whole = depth / SIDE * SIDE;
  for (ptrdiff_t k = 0; k < depth;) {
    // Whole steps first, and what is left as a shorter one.
    ptrdiff_t stretch = k < whole ? (whole - k < RD_AMX_STRETCH ? whole - k : RD_AMX_STRETCH) : depth - k;
    multiply_stretch(rows, columns, stretch, k < whole ? SIDE : stretch, a + k * depth_stride, row_stride, depth_stride, panels + k * PANEL,
                     panel_stride, c, c_stride, adding || k > 0);
    k += stretch;
  }
  // The system saves the tiles at every change of threads until then.
  _tile_release();
}
#else
int rd_has_amx(void) { return 0; }
#endif
