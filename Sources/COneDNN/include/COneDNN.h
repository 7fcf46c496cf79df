#pragma once

/// Single-precision convolutions through oneDNN: one C interface over oneDNN 2.x, whose descriptors are values, and
/// 3.x, whose descriptors are opaque.
///
/// Activations are NHWC, dense. Convolution weights are `[kernel][kernel][input channel][output channel]`. Transposed
/// convolution weights are `[input channel][kernel][kernel][output channel]`:
/// `y[s*i+u][s*j+v][o] = sum over c of x[i][j][c] * w[c][u][v][o]`, where windows overlap they add up, and `padding`
/// pixels are cut from every side.
///
/// Every call runs on the calling thread alone; any number of threads may call at once. A thread keeps the primitives
/// it has built and one scratch buffer, as large as its largest call needed, until it ends: from the second call of a
/// shape on, no buffer is allocated. So that oneDNN starts no team, a call sets the calling thread's number of OpenMP
/// threads to one and leaves it there.
///
/// Functions that compute return 0, or another value after which `rd_dnn_error` tells what went wrong; then the output
/// holds nothing of use.

#pragma clang assume_nonnull begin

/// One convolution layer. Heights and widths are those of the layer's input x and output y, whatever the pass.
typedef struct {
  int input_channels, output_channels;
  /// Side of the square kernel.
  int kernel;
  int stride;
  /// Rows and columns of zeros around the input, the same on every side.
  int padding;
  /// 0: convolution; anything else: transposed convolution.
  int transposed;
  int input_height, input_width;
  int output_height, output_width;
} rd_dnn_shape;

/// 1 if this build holds oneDNN, else 0; then the functions that compute fail.
int rd_dnn_available(void);

/// Version of the oneDNN library that is loaded, such as "2.6.3"; empty where there is none.
const char *rd_dnn_version(void);

/// Computes y `[images][output_height][output_width][output_channels]` from x
/// `[images][input_height][input_width][input_channels]`.
///
/// An image's bits depend neither on the other images nor on their number.
int rd_dnn_forward(const rd_dnn_shape *shape, int images, const float *x, const float *weights, float *y);

/// Computes dx, the gradient of x, from dy, the gradient of y; both shaped as in `rd_dnn_forward`.
///
/// An image's bits depend neither on the other images nor on their number.
int rd_dnn_input_gradient(const rd_dnn_shape *shape, int images, const float *dy, const float *weights, float *dx);

/// Computes dw, the gradient of the weights summed over the images. Overwrites dw.
int rd_dnn_weight_gradient(const rd_dnn_shape *shape, int images, const float *x, const float *dy, float *dw);

/// What went wrong in this thread's last call that failed; empty if none has.
const char *rd_dnn_error(void);

#pragma clang assume_nonnull end
