#if canImport(CoreML)
import CoreGraphics
import CoreVideo
import Foundation
import VideoToolbox

extension CGImage {
    /// The colour space that pixels keep: the image's own if it is one of 8-bit RGB, else sRGB.
    ///
    /// Grey and CMYK images, and those whose range is extended, are converted.
    var keptColorSpace: CGColorSpace {
        let standard = CGColorSpace(name: CGColorSpace.sRGB) ?? CGColorSpaceCreateDeviceRGB()
        guard let own = colorSpace, own.model == .rgb, own.supportsOutput,
            !CGColorSpaceUsesExtendedRange(own), !CGColorSpaceUsesITUR_2100TF(own)
        else { return standard }
        return own
    }
}

extension Raster {
    /// Draws an image: any depth becomes 8 bits, any alpha premultiplied.
    init(_ image: CGImage, in space: CGColorSpace) throws {
        let (width, height) = (image.width, image.height)
        guard width > 0, height > 0 else {
            throw TinySRError.imageUnfit(
                expected: "at least 1×1 pixels", found: "\(width)×\(height)")
        }
        var pixels = [UInt8](repeating: 0, count: width * height * 4)
        let drawn = pixels.withUnsafeMutableBytes { bytes in
            guard
                let context = CGContext(
                    data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8,
                    bytesPerRow: width * 4, space: space,
                    bitmapInfo: CGImageAlphaInfo.premultipliedLast.rawValue)
            else { return false }
            context.setBlendMode(.copy)
            context.interpolationQuality = .none
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            return true
        }
        guard drawn else {
            throw TinySRError.imageUnfit(
                expected: "an image that can be drawn in 8-bit RGB", found: "\(space)")
        }
        self.init(width: width, height: height, pixels: pixels)
    }

    /// Copies a buffer of 8-bit BGRA.
    init(bgra buffer: CVPixelBuffer) throws {
        let format = CVPixelBufferGetPixelFormatType(buffer)
        guard format == kCVPixelFormatType_32BGRA else {
            throw TinySRError.imageUnfit(
                expected: "a buffer of kCVPixelFormatType_32BGRA", found: "format \(format)")
        }
        let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw TinySRError.bufferUnavailable(width: width, height: height)
        }
        self.init(width: width, height: height)
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        for y in 0..<height {
            let row = (base + y * stride).assumingMemoryBound(to: UInt8.self)
            for x in 0..<width {
                let target = (y * width + x) * 4
                pixels[target] = row[x * 4 + 2]
                pixels[target + 1] = row[x * 4 + 1]
                pixels[target + 2] = row[x * 4]
                pixels[target + 3] = row[x * 4 + 3]
            }
        }
    }

    /// Multiplies colours by an opacity that they were not multiplied by.
    mutating func premultiply() {
        for index in stride(from: 0, to: pixels.count, by: 4) {
            let alpha = Int(pixels[index + 3])
            for channel in index..<index + 3 {
                pixels[channel] = UInt8((Int(pixels[channel]) * alpha + 127) / 255)
            }
        }
    }

    /// Returns the pixels as an image.
    func image(in space: CGColorSpace) throws -> CGImage {
        guard let provider = CGDataProvider(data: Data(pixels) as CFData),
            let image = CGImage(
                width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 32,
                bytesPerRow: width * 4, space: space,
                bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.premultipliedLast.rawValue),
                provider: provider, decode: nil, shouldInterpolate: true,
                intent: .defaultIntent)
        else { throw TinySRError.bufferUnavailable(width: width, height: height) }
        return image
    }

    /// Returns the pixels as a buffer of 8-bit BGRA.
    func pixelBuffer() throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary]
        CVPixelBufferCreate(
            kCFAllocatorDefault, width, height, kCVPixelFormatType_32BGRA,
            attributes as CFDictionary, &made)
        guard let buffer = made else {
            throw TinySRError.bufferUnavailable(width: width, height: height)
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw TinySRError.bufferUnavailable(width: width, height: height)
        }
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        for y in 0..<height {
            let row = (base + y * stride).assumingMemoryBound(to: UInt8.self)
            for x in 0..<width {
                let source = (y * width + x) * 4
                row[x * 4] = pixels[source + 2]
                row[x * 4 + 1] = pixels[source + 1]
                row[x * 4 + 2] = pixels[source]
                row[x * 4 + 3] = pixels[source + 3]
            }
        }
        return buffer
    }
}

/// A buffer's pixels, and what is said of their colours.
struct BufferImage {
    /// What says how colours are meant; the result gets the same.
    private static var keys: [CFString] {
        [
            kCVImageBufferCGColorSpaceKey, kCVImageBufferICCProfileKey,
            kCVImageBufferColorPrimariesKey, kCVImageBufferTransferFunctionKey,
        ]
    }

    let raster: Raster
    private let attachments: [(CFString, CFTypeRef)]

    /// Reads a buffer: BGRA as it is, and all that VideoToolbox knows, such as a camera's YCbCr,
    /// through it.
    init(_ buffer: CVPixelBuffer) throws {
        if CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_32BGRA {
            var raster = try Raster(bgra: buffer)
            if Self.isStraight(buffer) { raster.premultiply() }
            self.raster = raster
            attachments = Self.keys.compactMap { key in
                CVBufferCopyAttachment(buffer, key, nil).map { (key, $0) }
            }
            return
        }
        var made: CGImage?
        let status = VTCreateCGImageFromCVPixelBuffer(buffer, options: nil, imageOut: &made)
        guard let image = made else {
            throw TinySRError.imageUnfit(
                expected: "a pixel buffer that VideoToolbox can convert to RGB",
                found: "format \(CVPixelBufferGetPixelFormatType(buffer)), status \(status)")
        }
        let space = image.keptColorSpace
        raster = try Raster(image, in: space)
        attachments = [(kCVImageBufferCGColorSpaceKey, space)]
    }

    /// Says of a result what was said of this buffer; its alpha is premultiplied.
    func describe(_ result: CVPixelBuffer) {
        for (key, value) in attachments {
            CVBufferSetAttachment(result, key, value, .shouldPropagate)
        }
        CVBufferSetAttachment(
            result, kCVImageBufferAlphaChannelModeKey,
            kCVImageBufferAlphaChannelMode_PremultipliedAlpha, .shouldPropagate)
    }

    private static func isStraight(_ buffer: CVPixelBuffer) -> Bool {
        guard let mode = CVBufferCopyAttachment(buffer, kCVImageBufferAlphaChannelModeKey, nil)
        else { return false }
        return CFEqual(mode, kCVImageBufferAlphaChannelMode_StraightAlpha)
    }
}
#endif
