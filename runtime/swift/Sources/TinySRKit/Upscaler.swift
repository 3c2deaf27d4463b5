#if canImport(CoreML)
import CoreGraphics
import CoreML
import CoreVideo
import Foundation

/// Enlarges images with a package of `tinysr export -t coreml`, by the scale it was made for: four
/// times as wide and high for TinySR.
///
/// ```swift
/// let upscaler = try await Upscaler(contentsOf: Upscaler.modelURL())
/// let larger = try await upscaler.upscale(photo) { done, total in print(done, total) }
/// ```
///
/// One image is made at a time; others wait. Cancel the task, and `upscale` throws
/// `CancellationError` after the run of the model that it is in.
public actor Upscaler {
    /// How images are made.
    public struct Options: Sendable {
        /// Where Core ML may run the model.
        public var computeUnits: MLComputeUnits
        public var colorFix: ColorFix
        /// Largest result, in 10⁶ pixels. Making one takes about ten bytes a pixel beside the
        /// model.
        public var maxMegapixels: Double

        public init(
            computeUnits: MLComputeUnits = .all, colorFix: ColorFix = .adain,
            maxMegapixels: Double = 64
        ) {
            self.computeUnits = computeUnits
            self.colorFix = colorFix
            self.maxMegapixels = maxMegapixels
        }
    }

    /// Whether images larger than a tile are made as if in one piece. Models of several stages take
    /// iOS 18 or macOS 15 for it, and a package with all functions. Otherwise finished tiles are
    /// blended, which differs near their borders.
    public nonisolated let isExact: Bool

    private let options: Options
    private nonisolated let spec: ChainSpec
    private var package: Package
    /// Runs of the model block their thread, which must not be one of Swift's few.
    private nonisolated let queue = DispatchSerialQueue(label: "TinySRKit.Upscaler")

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        queue.asUnownedSerialExecutor()
    }

    /// Opens a package.
    ///
    /// - Parameter url: a `.mlmodelc`, as Xcode compiles it into the app, or a `.mlpackage`, which
    ///   is compiled each time.
    /// - Throws: `TinySRError`.
    public init(contentsOf url: URL, options: Options = Options()) async throws {
        let package = try await Package.open(url, computeUnits: options.computeUnits)
        self.options = options
        spec = package.spec
        isExact = package.spec.isExact(hasStages: package.hasStages)
        self.package = package
    }

    /// Returns where Xcode put a package that was added to a target.
    ///
    /// - Throws: `TinySRError.modelMissing`.
    public static func modelURL(named name: String = "TinySR", in bundle: Bundle = .main) throws
        -> URL
    {
        guard let url = bundle.url(forResource: name, withExtension: "mlmodelc") else {
            throw TinySRError.modelMissing(name: name)
        }
        return url
    }

    /// Returns an image whose sides are the model's scale times as long, in 8-bit RGB with
    /// premultiplied alpha.
    ///
    /// - Parameters:
    ///   - image: upright: a `CGImage` knows no orientation. It keeps its colour space if that is
    ///     one of 8-bit RGB, and becomes sRGB otherwise. Where its alpha varies, it runs through
    ///     the model as well and takes as long again.
    ///   - progress: called after each run of the model, on a thread of its own choice.
    /// - Throws: `TinySRError`, or `CancellationError`.
    public nonisolated func upscale(
        _ image: CGImage, progress: Progress? = nil
    ) async throws -> CGImage {
        try check(width: image.width, height: image.height)
        let space = image.keptColorSpace
        let result = try await render(Raster(image, in: space), progress)
        return try result.image(in: space)
    }

    /// Returns a buffer of 8-bit BGRA whose sides are the model's scale times as long.
    ///
    /// - Parameters:
    ///   - buffer: BGRA, or any format that VideoToolbox converts, such as a camera's.
    ///   - progress: called after each run of the model, on a thread of its own choice.
    /// - Throws: `TinySRError`, or `CancellationError`.
    public nonisolated func upscale(
        _ buffer: CVPixelBuffer, progress: Progress? = nil
    ) async throws -> CVPixelBuffer {
        try check(width: CVPixelBufferGetWidth(buffer), height: CVPixelBufferGetHeight(buffer))
        let image = try BufferImage(buffer)
        let result = try await render(image.raster, progress).pixelBuffer()
        image.describe(result)
        return result
    }

    private nonisolated func check(width: Int, height: Int) throws {
        guard width > 0, height > 0 else {
            throw TinySRError.imageUnfit(
                expected: "at least 1×1 pixels", found: "\(width)×\(height)")
        }
        let made = SizePlan(width: width, height: height, spec: spec).megapixels
        guard made <= options.maxMegapixels else {
            throw TinySRError.imageTooLarge(megapixels: made, limit: options.maxMegapixels)
        }
    }

    private func render(_ image: Raster, _ progress: Progress?) async throws -> Raster {
        let plan = SizePlan(width: image.width, height: image.height, spec: spec)
        let division = try Division(of: plan.padded, spec: spec, hasStages: package.hasStages)
        package = try await package.with(division.functions)
        try Task.checkCancellation()
        let pipeline = Pipeline(
            network: package, colorFix: options.colorFix, progress: progress)
        return try pipeline.render(image)
    }
}
#endif
