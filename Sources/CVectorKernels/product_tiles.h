// The tiles of a matrix product for one instruction set. Included once for each, with these defined:
//   NAME(x)             the name's variant
//   LANES               floats of a vector; a tile has 2 * LANES columns
//   ROWS                rows of the largest tile, whose accumulators fill the registers
//   ADD_PAIRS(s, a, b)  where the processor multiplies pairs of bf16: adds to the vector s the products of a broadcast pair a and pairs b

typedef float NAME(vector) __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint32_t NAME(pairs) __attribute__((vector_size(LANES * 4), aligned(4)));

#ifndef ADD_PAIRS
INLINE NAME(vector) NAME(first_of)(NAME(pairs) p) { return (NAME(vector))(p << 16); }
INLINE NAME(vector) NAME(second_of)(NAME(pairs) p) { return (NAME(vector))(p & 0xffff0000u); }
#endif

// c[rows][2 * LANES] (+)= a[rows][depth] * b[depth][2 * LANES]; `rows` is a constant. Every element is one chain of multiply-adds in the order of
// the depth, begun from c where that is added to: so its bits depend neither on how a product is cut into tiles nor on the vectors' width.
INLINE void NAME(tile)(int rows, int paired, ptrdiff_t depth, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *b, float *c,
                       ptrdiff_t c_stride, int adding) {
  NAME(vector) sums[ROWS][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++)
      if (adding)
        memcpy(&sums[i][j], c + i * c_stride + j * LANES, sizeof sums[i][j]);
      else
        sums[i][j] = (NAME(vector)){0};
  if (!paired) {
    const float *left = a, *right = b;
    for (ptrdiff_t k = 0; k < depth; k++, left += depth_stride, right += PANEL) {
      NAME(vector) v[2];
      memcpy(v, right, sizeof v);
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) {
        float factor = left[i * row_stride];
        sums[i][0] += factor * v[0];
        sums[i][1] += factor * v[1];
      }
    }
  } else {
    const uint32_t *left = a, *right = b;
    for (ptrdiff_t k = 0; k < depth; k++, left += depth_stride, right += PANEL) {
      NAME(pairs) v[2];
      memcpy(v, right, sizeof v);
#ifdef ADD_PAIRS
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) {
        NAME(pairs) factor = left[i * row_stride] + (NAME(pairs)){0};
        ADD_PAIRS(sums[i][0], factor, v[0]);
        ADD_PAIRS(sums[i][1], factor, v[1]);
      }
#else
      NAME(vector) first[2] = {NAME(first_of)(v[0]), NAME(first_of)(v[1])}, second[2] = {NAME(second_of)(v[0]), NAME(second_of)(v[1])};
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) {
        NAME(pairs) factor = left[i * row_stride] + (NAME(pairs)){0};
        NAME(vector) f = NAME(first_of)(factor), s = NAME(second_of)(factor);
        sums[i][0] += f * first[0];
        sums[i][1] += f * first[1];
        sums[i][0] += s * second[0];
        sums[i][1] += s * second[1];
      }
#endif
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) memcpy(c + i * c_stride + j * LANES, &sums[i][j], sizeof sums[i][j]);
}

// All rows of one panel. One of a's strides is 1.
INLINE void NAME(rows)(int paired, ptrdiff_t rows, ptrdiff_t depth, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *b,
                       float *c, ptrdiff_t c_stride, int adding, rd_ahead *ahead) {
  ptrdiff_t tiles = (rows + ROWS - 1) / ROWS;
  for (ptrdiff_t tile = 0; tile < tiles; tile++) {
    ptrdiff_t first = rows * tile / tiles, count = rows * (tile + 1) / tiles - first;
    fetch(ahead, depth);
    // The next tile's sums, which memory may have to give first. Shallow tiles take no longer than asking would.
    ptrdiff_t next = depth < 64 || tile + 1 == tiles ? first + count : rows * (tile + 2) / tiles;
    for (ptrdiff_t i = first + count; i < next; i++)
      for (int column = 0; column < PANEL; column += 16) __builtin_prefetch(c + i * c_stride + column, 1, 3);
    for (int column = 0; column < PANEL; column += 2 * LANES) {
      const void *ta = (const char *)a + 4 * first * row_stride, *tb = (const char *)b + 4 * column;
      float *tc = c + first * c_stride + column;
#define TILE(n)                                                                                           \
  case n:                                                                                                 \
    if (n > ROWS) break;                                                                                  \
    if (depth_stride == 1)                                                                                \
      NAME(tile)(n > ROWS ? 1 : n, paired, depth, ta, row_stride, 1, tb, tc, c_stride, adding);           \
    else                                                                                                  \
      NAME(tile)(n > ROWS ? 1 : n, paired, depth, ta, 1, depth_stride, tb, tc, c_stride, adding);         \
    break;
      switch (count) { TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) }
#undef TILE
    }
  }
}

static void NAME(panel)(ptrdiff_t rows, ptrdiff_t depth, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *b, float *c,
                        ptrdiff_t c_stride, int adding, rd_ahead *ahead) {
  NAME(rows)(0, rows, depth, a, row_stride, depth_stride, b, c, c_stride, adding, ahead);
}

static void NAME(paired_panel)(ptrdiff_t rows, ptrdiff_t depth, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *b, float *c,
                               ptrdiff_t c_stride, int adding, rd_ahead *ahead) {
  NAME(rows)(1, rows, depth, a, row_stride, depth_stride, b, c, c_stride, adding, ahead);
}

#undef NAME
#undef LANES
#undef ROWS
#undef ADD_PAIRS
