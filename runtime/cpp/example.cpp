// Upscales one raw RGB tile:  example upscale.fp16.engine tile.rgb larger.rgb
//
//   g++ -std=c++17 example.cpp -ltensorrt_rtx -lcudart -o example     (or -lnvinfer)
#include "tinysr_tensorrt.hpp"

#include <cstdio>
#include <exception>

int main(int count, char** words) {
  if (count != 4) {
    std::fprintf(stderr, "usage: %s ENGINE TILE.rgb RESULT.rgb\n", words[0]);
    return 2;
  }
  try {
    tinysr::Upscaler upscaler(words[1]);
    std::ifstream source(words[2], std::ios::binary);
    const std::vector<std::uint8_t> rgb{std::istreambuf_iterator<char>(source),
                                        std::istreambuf_iterator<char>()};
    const std::vector<std::uint8_t> larger = upscaler.upscale(rgb);
    std::ofstream target(words[3], std::ios::binary);
    target.write(reinterpret_cast<const char*>(larger.data()),
                 static_cast<std::streamsize>(larger.size()));
    if (!target.flush()) throw std::runtime_error(std::string(words[3]) + ": can't be written");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
  return 0;
}
