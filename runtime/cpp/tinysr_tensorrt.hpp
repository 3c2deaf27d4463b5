// Runs an engine of a bundle on one tile, without Python.
//
//   tinysr::Upscaler upscaler("bundle/tensorrt/upscale.fp16.engine");
//   std::vector<std::uint8_t> larger = upscaler.upscale(rgb);  // 3·T·T bytes in, 3·4T·4T out
//
// T is upscaler.tile(). Pixels are RGB, row by row, 8 bits. Images of other sizes are cut into
// tiles by the caller, or run by the Python package, which blends them.
//
// Needs the headers of TensorRT 10 or later, or of TensorRT-RTX, and CUDA's runtime. One object
// belongs to one thread. Errors are std::runtime_error, with TensorRT's own words.
#pragma once

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tinysr {

/// How many times larger the result's sides are.
constexpr std::int64_t kScale = 4;

/// Keeps TensorRT's last error, for the exception that follows it.
class Log : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR) return;
    try {
      last_ = message;
    } catch (...) {  // no memory for the words: the exception goes without them
    }
  }
  const std::string& last() const { return last_; }

 private:
  std::string last_ = "TensorRT gives no reason";
};

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

/// Memory of the device, given back when it goes out of scope.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
    check(cudaMalloc(&address_, bytes), "the GPU has too little memory");
  }
  ~DeviceBuffer() { cudaFree(address_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  void* address() const { return address_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* address_ = nullptr;
  std::size_t bytes_;
};

/// A CUDA stream, destroyed when it goes out of scope.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "no CUDA stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// An engine of the whole model for tiles of one size: `upscale.fp32.engine` or `upscale.fp16…`.
class Upscaler {
 public:
  explicit Upscaler(const std::string& path) {
    const std::vector<char> data = read(path);
    runtime_.reset(nvinfer1::createInferRuntime(log_));
    if (!runtime_) throw std::runtime_error("TensorRT does not start: " + log_.last());
    engine_.reset(runtime_->deserializeCudaEngine(data.data(), data.size()));
    if (!engine_) throw std::runtime_error(path + ": not an engine for this machine: " + log_.last());
    context_.reset(engine_->createExecutionContext());
    if (!context_) throw std::runtime_error(path + ": can't be prepared: " + log_.last());
    tile_ = measured(path);
    source_ = std::make_unique<DeviceBuffer>(input().size() * sizeof(float));
    sink_ = std::make_unique<DeviceBuffer>(output().size() * sizeof(float));
    if (!context_->setTensorAddress(kInput, source_->address()) ||
        !context_->setTensorAddress(kOutput, sink_->address()))
      throw std::runtime_error(path + ": expected a graph with 'image' and 'upscaled'");
  }

  /// Side of the tile that the engine takes, in pixels.
  std::int64_t tile() const { return tile_; }

  /// Returns the tile four times the size, rounded to 8 bits.
  std::vector<std::uint8_t> upscale(const std::vector<std::uint8_t>& rgb) {
    std::vector<float> planes = input();
    if (rgb.size() != planes.size())
      throw std::runtime_error("expected " + std::to_string(planes.size()) + " bytes of RGB, found " +
                               std::to_string(rgb.size()));
    const std::size_t area = planes.size() / 3;
    for (std::size_t i = 0; i < rgb.size(); ++i) planes[i % 3 * area + i / 3] = rgb[i] / 255.0F;
    return interleaved(run(planes));
  }

 private:
  static constexpr const char* kInput = "image";
  static constexpr const char* kOutput = "upscaled";

  static std::vector<char> read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": can't be read");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  std::int64_t measured(const std::string& path) const {
    const nvinfer1::Dims in = engine_->getTensorShape(kInput);
    const nvinfer1::Dims out = engine_->getTensorShape(kOutput);
    if (in.nbDims != 4 || out.nbDims != 4 || in.d[0] != 1 || in.d[1] != 3 || in.d[2] != in.d[3] ||
        in.d[2] < 1 || out.d[2] != kScale * in.d[2] || out.d[3] != kScale * in.d[3])
      throw std::runtime_error(path + ": expected an engine of the stage 'upscale' for one tile, which it "
                               "enlarges four times: models whose image is enlarged before need Python");
    return in.d[2];
  }

  std::vector<float> input() const { return std::vector<float>(static_cast<std::size_t>(3 * tile_ * tile_)); }
  std::vector<float> output() const {
    return std::vector<float>(static_cast<std::size_t>(3 * kScale * kScale * tile_ * tile_));
  }

  std::vector<float> run(const std::vector<float>& planes) {
    std::vector<float> result = output();
    const cudaStream_t stream = stream_.get();
    check(cudaMemcpyAsync(source_->address(), planes.data(), source_->bytes(),
                          cudaMemcpyHostToDevice, stream),
          "copying the tile");
    if (!context_->enqueueV3(stream)) throw std::runtime_error("TensorRT failed: " + log_.last());
    check(cudaMemcpyAsync(result.data(), sink_->address(), sink_->bytes(), cudaMemcpyDeviceToHost,
                          stream),
          "copying the result");
    check(cudaStreamSynchronize(stream), "running the engine");
    return result;
  }

  static std::vector<std::uint8_t> interleaved(const std::vector<float>& planes) {
    std::vector<std::uint8_t> rgb(planes.size());
    const std::size_t area = planes.size() / 3;
    for (std::size_t i = 0; i < rgb.size(); ++i) {
      const float value = std::clamp(planes[i % 3 * area + i / 3], 0.0F, 1.0F);
      rgb[i] = static_cast<std::uint8_t>(std::lround(value * 255.0F));
    }
    return rgb;
  }

  // In the order in which they are made; they are destroyed in the reverse.
  Log log_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::int64_t tile_ = 0;
  std::unique_ptr<DeviceBuffer> source_;
  std::unique_ptr<DeviceBuffer> sink_;
  Stream stream_;
};

}  // namespace tinysr
