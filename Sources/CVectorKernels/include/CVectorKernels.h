// Loops over channels, compiled for several instruction sets of which the processor's is taken at run time. They are C for one reason:
// Swift compiles a binary for one instruction set.
//
// Layout everywhere: `rows` pixels of `channels` values; a stride is the distance in values between the pixels of a tensor, which is
// larger than `channels` for a slice of a concatenation.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Tells the processor that a loop waits for another thread.
static inline void rd_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Where a flag is beside a feature map, or the gradient of one, it is in floats or in bf16.

// Adds each channel's sum and sum of squares over the rows to sum[channels] and squares[channels].
void rd_channel_moments(const void *x, int is_bf16, ptrdiff_t rows, ptrdiff_t channels, double *sum, double *squares);

// y = x * scale + shift (+ residual), then ReLU where asked. residual may be NULL; y may be it. With x of floats so are the others.
void rd_affine(const void *x, int x_is_bf16, const float *scale, const float *shift, const void *residual, int residual_is_bf16, int relu,
               void *y, int y_is_bf16, ptrdiff_t y_stride, ptrdiff_t rows, ptrdiff_t channels);

// What a convolution's output goes through at the end: nothing, max(0, y), or min(max(0, y), 6).
enum { RD_LINEAR, RD_RELU, RD_RELU6 };

// y = y + bias (+ residual), then the activation. residual may be NULL.
void rd_add_bias(float *y, ptrdiff_t y_stride, const float *bias, const float *residual, ptrdiff_t residual_stride, int activation, ptrdiff_t rows,
                 ptrdiff_t channels);

// A convolution of every channel by itself, kernel x kernel, rows first ..< first + rows of one image's output. There are `padding` zeros before the
// first row and column, and as many as are needed behind the last ones. Weights are [kernel][kernel][channels]; channels are a multiple of 16.
void rd_depthwise(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, const float *weights, ptrdiff_t kernel, ptrdiff_t stride,
                  ptrdiff_t padding, ptrdiff_t out_width, ptrdiff_t first, ptrdiff_t rows, float *y);

// First half of batch normalisation's backward pass: adds to each channel the sums over the rows of dy and of dy * (x - mean) * inverse_deviation.
// Where the output went through ReLU, dy counts where that is above 0 only: by the output y, and then what does not count becomes 0 in place; or by
// x * scale + shift, and then dy stays as it is. Of y and scale one at least is NULL. With x of floats all are; y beside a dy of bf16 is not provided.
void rd_batch_norm_gradient_sums(const void *x, int x_is_bf16, const float *mean, const float *inverse_deviation, const float *scale,
                                 const float *shift, const void *y, int y_is_bf16, ptrdiff_t y_stride, void *dy, int dy_is_bf16,
                                 ptrdiff_t dy_stride, ptrdiff_t rows, ptrdiff_t channels, double *sum, double *sum_normalised);

// Second half: dx = dy * a + x * b + c by channel, where dy counts by x * scale + shift only; everywhere if scale is NULL. x and dx are floats or
// bf16, both alike; dx may be x. With x of floats dy is too.
void rd_batch_norm_input_gradient(const void *x, const float *scale, const float *shift, const void *dy, int dy_is_bf16, ptrdiff_t dy_stride,
                                  const float *a, const float *b, const float *c, void *dx, int is_bf16, ptrdiff_t rows, ptrdiff_t channels);

// y = a + b; y may be either.
void rd_sum(const float *a, const float *b, float *y, ptrdiff_t count);

// y += x
void rd_add(const float *x, float *y, ptrdiff_t count);

// Adds the inner products u.v, u.u and v.v to dots[3].
void rd_inner_products(const float *u, const float *v, ptrdiff_t count, double *dots);

// One minus the cosine of u and v at every pixel, along its channels; norms are at least least_norm.
void rd_pixel_distances(const float *u, const float *v, ptrdiff_t pixels, ptrdiff_t channels, float least_norm, float *distances);

// factor times the gradient of those distances with respect to v, or that added to what dv has.
void rd_pixel_distance_gradient(const float *u, const float *v, ptrdiff_t pixels, ptrdiff_t channels, float least_norm, float factor, int adding,
                                float *dv);

// y = a * u + b * v, or that added to y
void rd_combine(float a, const float *u, float b, const float *v, int adding, float *y, ptrdiff_t count);

// One Adam update (Kingma & Ba 2015, in PyTorch's order of operations).
void rd_adam(float *parameter, float *first_moment, float *second_moment, const float *gradient, ptrdiff_t count,
             float one_minus_beta1, float beta2, float one_minus_beta2, float step_size, float inverse_root_correction2, float epsilon);

// Of the patch matrix of a convolution the rows first ..< first + rows, over images, output rows and output columns in that order, and of these the
// columns first_column ..< first_column + columns. A patch is lines of window_width x channels floats, zero where it leaves the image;
// that of output place (i, j) begins at the image's row i * stride + top and column j * stride + left. Two channels of bf16 may take
// the place of a float, here and below where nothing is added.
void rd_patches(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t window_width, ptrdiff_t stride,
                ptrdiff_t top, ptrdiff_t left, ptrdiff_t rows_high, ptrdiff_t rows_wide, ptrdiff_t first, ptrdiff_t rows,
                ptrdiff_t first_column, ptrdiff_t columns, float *patches);

// Writes rows of `columns` values, numbered as above, to the pixels (i * stride + top, j * stride + left) of y, images x height x width x channels, or
// adds them to what is there.
void rd_place_rows(const float *values, ptrdiff_t columns, ptrdiff_t rows_high, ptrdiff_t rows_wide, ptrdiff_t first, ptrdiff_t rows, int adding,
                   float *y, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t stride, ptrdiff_t top, ptrdiff_t left);

// The adjoint of whole patches of whole images: dx becomes the sums of the patches that cover each pixel, or they are added to it.
void rd_patches_adjoint(const float *patches, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t kernel, ptrdiff_t stride,
                        ptrdiff_t padding, ptrdiff_t out_height, ptrdiff_t out_width, ptrdiff_t images, int adding, float *dx);

// Max pooling 3x3, stride 2, padding 1 of one image.
void rd_max_pool(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, float *y);

// What the products below are computed with, from the least on. In fp32 all but the first give the same bits, in bf16 all but the last two.
enum { RD_PORTABLE, RD_AVX2, RD_AVX512, RD_AVX512_BF16, RD_AMX };
// The most that the processor has.
int rd_best_instructions(void);

// The columns of a panel. A matrix in panels is stored as all rows of its first 32 columns, then all rows of the next 32 and so on; the last panel is
// filled up with zeros. Panels are panel_stride floats apart.
enum { RD_PANEL = 32 };

// Brings a matrix into panels. One of its strides is 1.
void rd_pack_panels(const float *b, ptrdiff_t row_stride, ptrdiff_t column_stride, ptrdiff_t rows, ptrdiff_t columns, float *panels,
                    ptrdiff_t panel_stride);

// Memory that will soon be read: runs of `bytes`, `stride` bytes apart. `next` is the next line, in a run of which `left` bytes are left; a run that
// does not begin with a line may lack its last one.
typedef struct {
  const char *next;
  ptrdiff_t left, bytes, stride, runs;
} rd_area;

// What a product asks the caches for while it is computed, some lines with every tile: so memory works beside the processor, not in turn with it.
// The areas move on with what was asked for.
typedef struct {
  rd_area first, second;
} rd_ahead;

// c = a * b, or c += a * b; a is rows x depth with one of its strides 1, b is depth x columns in panels, c has rows of `columns` floats.
// Every element of c is one chain of multiply-adds in the order of the depth: its bits do not depend on which rows and columns are computed
// together, and a product may be continued with `adding`.
//
// Paired, the factors are bf16, and sums fp32: two numbers that follow each other in the depth share a word, the first one in its lower half, and
// depths, and strides along them, are counted in words. AMX adds the products of 16 words before it adds them to c: there a product may be continued
// after a multiple of 16. `ahead` may be NULL; AMX does not look at it.
void rd_multiply_panels(int instructions, int paired, const void *a, ptrdiff_t row_stride, ptrdiff_t depth_stride, const void *panels,
                        ptrdiff_t panel_stride, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, float *c, ptrdiff_t c_stride, int adding,
                        rd_ahead *ahead);

// The matrix in pairs: of floats or bf16 whose columns are neighbours, or of floats whose rows are.
void rd_pair_panels(const void *b, int is_bf16, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *panels, ptrdiff_t panel_stride);
void rd_pair_turned_panels(const float *b, ptrdiff_t column_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *panels, ptrdiff_t panel_stride);

// Rounds to bf16 and joins what lies under each other in two rows, or side by side in two columns; zero joins an odd one out.
void rd_pair_rows(const void *x, int is_bf16, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs, ptrdiff_t pair_stride);
// pairs may be x, where the former's rows are no further apart.
void rd_pair_columns(const float *x, ptrdiff_t row_stride, ptrdiff_t rows, ptrdiff_t columns, uint32_t *pairs, ptrdiff_t pair_stride);

// out[c][r] = in[r][c]
void rd_transpose(const float *in, ptrdiff_t in_stride, ptrdiff_t rows, ptrdiff_t columns, float *out, ptrdiff_t out_stride);

// Winograd's minimal filtering of 3x3 convolutions with stride 1 or 2 and padding 1 (Lavin & Gray 2016; winograd.c says how). A tile has 4x4
// outputs; tiles are numbered over images, tile rows and tile columns. A transformed tensor is planes, `plane` floats apart, 36 at stride 1 and 81 at
// stride 2, with a row for each tile; of weights there are 36 in either case, with a row for each input channel. Plane 9 * k + l at stride 2
// is multiplied by the weights' plane 6 * min(k, 5) + min(l, 5). Channel c of row r lies at r * row stride + c / 32 * panel_stride + c % 32: in panels,
// or row by row where panel_stride is 32.

// Products in bf16 want transformed values in pairs: of neighbouring columns (channels), or of neighbouring rows (tiles of one image, input channels of
// weights), of which an odd one out is joined by zero. Pairs of columns lie half as far from the first one of a panel; rows, and strides, are counted in
// pairs, where rows are joined.
enum { RD_SINGLE, RD_PAIRED_COLUMNS, RD_PAIRED_ROWS };

// Weights whose taps are tap_stride apart: rows x columns of them, into panels. Their columns are not to be paired.
void rd_winograd_weights(int stride, int pairing, const float *weights, ptrdiff_t tap_stride, ptrdiff_t row_stride, ptrdiff_t rows,
                         ptrdiff_t columns, float *panels, ptrdiff_t plane, ptrdiff_t panel_stride);
// Some channels of the inputs of tiles, of rows first ..< first + rows. They, and gradients below, are floats or bf16.
void rd_winograd_input(int stride, int pairing, const void *x, int is_bf16, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                       ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t rows, float *planes, ptrdiff_t plane,
                       ptrdiff_t row_stride, ptrdiff_t panel_stride);
// Some channels of the outputs of tiles from their planes, row by row, or those added to y. Where bias is not NULL, it is added, and residual unless
// NULL, which lies as y does, and the activation follows. Where y is bf16, nothing is added and nothing follows.
void rd_winograd_output(int stride, const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                        ptrdiff_t tiles, const float *bias, const float *residual, int activation, int adding, void *y, int is_bf16);

// The adjoints of the output's and the weights' transforms, for the weights' gradient: a weights' plane is the sum over its tiles, and the planes that
// meet it, of inputs times adjoint outputs. The latter function's planes and taps are dense.
void rd_winograd_output_adjoint(int stride, int pairing, const void *dy, int is_bf16, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride,
                                ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t rows, float *planes,
                                ptrdiff_t plane, ptrdiff_t row_stride, ptrdiff_t panel_stride);
void rd_winograd_weights_adjoint(int stride, const float *planes, ptrdiff_t plane, ptrdiff_t weight_count, float *weights);

// The input's gradient, with weights turned by half a turn and transposed: at stride 1 a convolution like any other, at stride 2 with these two in the
// places of rd_winograd_input and rd_winograd_output. A tile is then 8x8 pixels of dx, which in bf16 is not added to.
void rd_winograd_strided_gradient(int pairing, const void *dy, int is_bf16, ptrdiff_t height, ptrdiff_t width, ptrdiff_t pixel_stride, ptrdiff_t channels,
                                  ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first, ptrdiff_t rows, float *planes, ptrdiff_t plane,
                                  ptrdiff_t row_stride, ptrdiff_t panel_stride);
void rd_winograd_strided_input_gradient(const float *planes, ptrdiff_t plane, ptrdiff_t tile_stride, ptrdiff_t height, ptrdiff_t width,
                                        ptrdiff_t pixel_stride, ptrdiff_t channels, ptrdiff_t tiles_high, ptrdiff_t tiles_wide, ptrdiff_t first,
                                        ptrdiff_t tiles, int adding, void *dx, int is_bf16);
