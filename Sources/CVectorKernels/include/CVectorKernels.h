// Loops over channels, compiled for several instruction sets of which the processor's is taken at run time. They are C for one reason:
// Swift compiles a binary for one instruction set.
//
// Layout everywhere: `rows` pixels of `channels` floats; a stride is the distance in floats between the pixels of a tensor, which is
// larger than `channels` for a slice of a concatenation.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Whether the processor has AVX-512 as Skylake's servers brought it.
int rd_has_512_bit_vectors(void);

// Adds each channel's sum and sum of squares over the rows to sum[channels] and squares[channels].
void rd_channel_moments(const float *x, ptrdiff_t rows, ptrdiff_t channels, double *sum, double *squares);

// y = x * scale + shift (+ residual), then ReLU where asked. residual may be NULL; y may be x.
void rd_affine(const float *x, const float *scale, const float *shift, const float *residual, int relu,
               float *y, ptrdiff_t y_stride, ptrdiff_t rows, ptrdiff_t channels);

// First half of batch normalisation's backward pass. Where the output y went through ReLU (y not NULL), dy is set to 0 in place where y is 0.
// Adds to each channel the sums over the rows of dy and of dy * (x - mean) * inverse_deviation.
void rd_batch_norm_gradient_sums(const float *x, const float *mean, const float *inverse_deviation, const float *y, ptrdiff_t y_stride,
                                 float *dy, ptrdiff_t dy_stride, ptrdiff_t rows, ptrdiff_t channels, double *sum, double *sum_normalised);

// Second half: dx = dy * a + x * b + c by channel. dx may be x.
void rd_batch_norm_input_gradient(const float *x, const float *dy, ptrdiff_t dy_stride, const float *a, const float *b, const float *c,
                                  float *dx, ptrdiff_t rows, ptrdiff_t channels);

// y += x
void rd_add(const float *x, float *y, ptrdiff_t count);

// Adds the inner products u.v, u.u and v.v to dots[3].
void rd_inner_products(const float *u, const float *v, ptrdiff_t count, double *dots);

// One minus the cosine of u and v at every pixel, along its channels; norms are at least least_norm.
void rd_pixel_distances(const float *u, const float *v, ptrdiff_t pixels, ptrdiff_t channels, float least_norm, float *distances);

// factor times the gradient of those distances with respect to v.
void rd_pixel_distance_gradient(const float *u, const float *v, ptrdiff_t pixels, ptrdiff_t channels, float least_norm, float factor,
                                float *dv);

// y = a * u + b * v
void rd_combine(float a, const float *u, float b, const float *v, float *y, ptrdiff_t count);

// One Adam update (Kingma & Ba 2015, in PyTorch's order of operations).
void rd_adam(float *parameter, float *first_moment, float *second_moment, const float *gradient, ptrdiff_t count,
             float one_minus_beta1, float beta2, float one_minus_beta2, float step_size, float inverse_root_correction2, float epsilon);

// The rows first ..< first + rows of the patch matrix of a convolution, over images, output rows and output columns in that order;
// a patch is kernel x kernel x channels floats, zero where it leaves the image.
void rd_patches(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t kernel, ptrdiff_t stride, ptrdiff_t padding,
                ptrdiff_t out_height, ptrdiff_t out_width, ptrdiff_t first, ptrdiff_t rows, float *patches);

// The same for a range of the patches' columns: rows x columns floats.
void rd_patch_columns(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t kernel, ptrdiff_t stride,
                      ptrdiff_t padding, ptrdiff_t out_height, ptrdiff_t out_width, ptrdiff_t first, ptrdiff_t rows,
                      ptrdiff_t first_column, ptrdiff_t columns, float *patches);

// Writes each row, factor x factor x channels floats, as a block of pixels of y. Rows are numbered over images and their blocks, of which
// rows_wide lie side by side.
void rd_place_patches(const float *patches, ptrdiff_t rows_wide, ptrdiff_t channels, ptrdiff_t factor, ptrdiff_t first,
                      ptrdiff_t rows, float *y);

// The adjoint of rd_patches for whole images: dx is overwritten with the sums of the patches that cover each pixel.
void rd_patches_adjoint(const float *patches, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t kernel, ptrdiff_t stride,
                        ptrdiff_t padding, ptrdiff_t out_height, ptrdiff_t out_width, ptrdiff_t images, float *dx);

// Max pooling 3x3, stride 2, padding 1 of one image.
void rd_max_pool(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, float *y);

// Winograd F(4x4, 3x3) (Lavin & Gray 2016), stride 1, padding 1. Tiles are numbered over images, tile rows and tile columns; a transformed tensor is
// 36 matrices, `plane` floats apart. Of the weights, whose plane is input channels x output channels, `count` from `first` on are transformed,
// turned by half a turn where an input gradient is wanted.
void rd_winograd_weights(const float *weights, ptrdiff_t plane, int turned, ptrdiff_t first, ptrdiff_t count, float *transformed);
void rd_winograd_input(const float *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t tiles,
                       float *transformed, ptrdiff_t plane);
void rd_winograd_output(const float *transformed, ptrdiff_t plane, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first,
                        ptrdiff_t tiles, float *y);

// The adjoints of the output's and the weights' transforms, for the weights' gradient: dw = G^T [ sum over tiles (B^T d B) * (A dy A^T) ] G.
void rd_winograd_output_adjoint(const float *dy, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t tiles,
                                float *transformed, ptrdiff_t plane);
void rd_winograd_weights_adjoint(const float *transformed, ptrdiff_t plane, float *weights);
