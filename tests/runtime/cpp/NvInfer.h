// The part of TensorRT's interface that tinysr_tensorrt.hpp uses. For tests alone: an engine is a
// text "engine T", and running it repeats each pixel of a T×T tile 4×4 times.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <string>

namespace nvinfer1 {

struct Dims {
  std::int32_t nbDims;
  std::int64_t d[8];
};

class ILogger {
 public:
  enum class Severity : std::int32_t { kINTERNAL_ERROR, kERROR, kWARNING };
  virtual void log(Severity severity, const char* message) noexcept = 0;
  virtual ~ILogger() = default;
};

class IExecutionContext {
 public:
  explicit IExecutionContext(std::int64_t tile) : tile_(tile) {}
  bool setTensorAddress(const char* name, void* address) {
    addresses_[name] = static_cast<float*>(address);
    return true;
  }
  bool enqueueV3(cudaStream_t) {
    const std::int64_t side = 4 * tile_;
    for (std::int64_t i = 0; i < 3 * side * side; ++i) {
      const std::int64_t plane = i / (side * side), y = i / side % side, x = i % side;
      addresses_["upscaled"][i] = addresses_["image"][(plane * tile_ + y / 4) * tile_ + x / 4];
    }
    return true;
  }

 private:
  std::int64_t tile_;
  std::map<std::string, float*> addresses_;
};

class ICudaEngine {
 public:
  explicit ICudaEngine(std::int64_t tile) : tile_(tile) {}
  IExecutionContext* createExecutionContext() { return new IExecutionContext(tile_); }
  Dims getTensorShape(const char* name) const {
    const std::int64_t side = std::string(name) == "image" ? tile_ : 4 * tile_;
    return {4, {1, 3, side, side}};
  }

 private:
  std::int64_t tile_;
};

class IRuntime {
 public:
  explicit IRuntime(ILogger& log) : log_(log) {}
  ICudaEngine* deserializeCudaEngine(const void* data, std::size_t size) {
    const std::string text(static_cast<const char*>(data), size);
    if (text.rfind("engine ", 0) == 0) return new ICudaEngine(std::stoll(text.substr(7)));
    log_.log(ILogger::Severity::kERROR, "magic tag does not match");
    return nullptr;
  }

 private:
  ILogger& log_;
};

inline IRuntime* createInferRuntime(ILogger& log) { return new IRuntime(log); }

}  // namespace nvinfer1
