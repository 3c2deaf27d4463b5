#if canImport(CoreML)
import Accelerate
import CoreML
import CoreVideo

/// A compiled package, and those of its functions that were loaded.
///
/// A Core ML model may be used by one thread at a time: `Upscaler` passes packages around, and only
/// runs them on its own queue. So they are sendable, which the compiler can't see.
struct Package: Network, @unchecked Sendable {
    /// The functions of a multifunction package. A package for iOS 17 has one, without a name.
    enum Function: String, CaseIterable {
        case upscale, encode, transform, decode
    }

    let spec: TileSpec
    let hasStages: Bool
    private let url: URL
    private let computeUnits: MLComputeUnits
    private var models: [Function: MLModel]

    /// Opens a package and loads `upscale`.
    ///
    /// - Parameter url: a `.mlmodelc` as Xcode compiles it, or a `.mlpackage`, which is compiled
    ///   first: that takes seconds.
    static func open(_ url: URL, computeUnits: MLComputeUnits) async throws -> Package {
        do {
            let compiled =
                url.pathExtension == "mlmodelc" ? url : try await MLModel.compileModel(at: url)
            let hasStages = try await hasStages(compiled)
            let model = try await load(
                hasStages ? .upscale : nil, of: compiled, computeUnits: computeUnits)
            return try Package(
                upscale: model, hasStages: hasStages, url: compiled, computeUnits: computeUnits)
        } catch let error where error is TinySRError || error is CancellationError {
            throw error
        } catch {
            throw TinySRError.modelUnreadable(reason: error.localizedDescription)
        }
    }

    private init(
        upscale: MLModel, hasStages: Bool, url: URL, computeUnits: MLComputeUnits
    ) throws {
        let metadata = upscale.modelDescription.metadata[.creatorDefinedKey]
        spec = try TileSpec(metadata: metadata as? [String: String] ?? [:])
        self.hasStages = hasStages
        self.url = url
        self.computeUnits = computeUnits
        models = [.upscale: upscale]
        let image = upscale.modelDescription.inputDescriptionsByName["image"]?.imageConstraint
        guard let image, image.pixelsWide == spec.tile, image.pixelsHigh == spec.tile else {
            throw TinySRError.modelUnfit(
                expected: "an input image of \(spec.tile)×\(spec.tile) pixels",
                found: image.map { "\($0.pixelsWide)×\($0.pixelsHigh)" } ?? "none")
        }
    }

    /// Returns the package with all functions that images larger than a tile need.
    func withStages() async throws -> Package {
        var package = self
        for function in Function.allCases where hasStages && models[function] == nil {
            try Task.checkCancellation()
            do {
                package.models[function] = try await Self.load(
                    function, of: url, computeUnits: computeUnits)
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                throw TinySRError.modelUnreadable(reason: error.localizedDescription)
            }
        }
        return package
    }

    private static func hasStages(_ compiled: URL) async throws -> Bool {
        guard #available(iOS 18, macOS 15, tvOS 18, visionOS 2, *) else { return false }
        let names = try await MLModelAsset(url: compiled).functionNames
        let wanted = Function.allCases.map(\.rawValue)
        guard names.count > 1 else { return false }
        guard Set(names).isSuperset(of: wanted) else {
            throw TinySRError.modelUnfit(
                expected: "the functions \(wanted.joined(separator: ", "))",
                found: names.joined(separator: ", "))
        }
        return true
    }

    private static func load(
        _ function: Function?, of compiled: URL, computeUnits: MLComputeUnits
    ) async throws -> MLModel {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = computeUnits
        if let function, #available(iOS 18, macOS 15, tvOS 18, visionOS 2, *) {
            configuration.functionName = function.rawValue
        }
        return try await MLModel.load(contentsOf: compiled, configuration: configuration)
    }
}

extension Package {
    func upscale(_ tile: Planes) throws -> Raster {
        try autoreleasepool {
            let image = MLFeatureValue(pixelBuffer: try Raster(tile).pixelBuffer())
            return try raster(try run(.upscale, ["image": image], "upscaled"), of: .upscale)
        }
    }

    func encode(_ window: Planes) throws -> Planes {
        try autoreleasepool {
            let image = MLFeatureValue(pixelBuffer: try Raster(window).pixelBuffer())
            return try planes(try run(.encode, ["image": image], "latents"), of: .encode)
        }
    }

    func transform(_ latents: Planes) throws -> Planes {
        try autoreleasepool {
            let input = try multiArray(latents, for: .transform)
            return try planes(try run(.transform, ["latents": input], "velocity"), of: .transform)
        }
    }

    func decode(_ latents: Planes) throws -> Raster {
        try autoreleasepool {
            let input = try multiArray(latents, for: .decode)
            return try raster(try run(.decode, ["latents": input], "upscaled"), of: .decode)
        }
    }

    private func model(_ function: Function) throws -> MLModel {
        guard let model = models[function] else {
            throw TinySRError.modelUnfit(expected: "the function \(function)", found: "none")
        }
        return model
    }

    private func run(
        _ function: Function, _ inputs: [String: MLFeatureValue], _ output: String
    ) throws -> MLFeatureValue {
        let model = try model(function)
        let found: MLFeatureValue?
        do {
            let features = try MLDictionaryFeatureProvider(dictionary: inputs)
            found = try model.prediction(from: features).featureValue(for: output)
        } catch {
            throw TinySRError.predictionFailed(
                function: function.rawValue, reason: error.localizedDescription)
        }
        guard let found else {
            throw unfit(function, expected: "the output \(output)", found: "none")
        }
        return found
    }

    private func raster(_ value: MLFeatureValue, of function: Function) throws -> Raster {
        let side = spec.tile * TileSpec.scale
        let expected = "an image of \(side)×\(side) pixels"
        guard let buffer = value.imageBufferValue else {
            throw unfit(function, expected: expected, found: "no image")
        }
        let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
        guard width == side, height == side else {
            throw unfit(function, expected: expected, found: "\(width)×\(height)")
        }
        return try Raster(bgra: buffer)
    }

    private func planes(_ value: MLFeatureValue, of function: Function) throws -> Planes {
        let side = spec.latentTile
        let shape = value.multiArrayValue?.shape.map(\.intValue) ?? []
        guard let array = value.multiArrayValue, shape.count == 4, shape[0] == 1,
            shape[2] == side, shape[3] == side
        else {
            throw unfit(function, expected: "latents [1, C, \(side), \(side)]", found: "\(shape)")
        }
        let scalars = MLShapedArray<Float>(converting: array).scalars  // strides and types too
        return Planes(channels: shape[1], height: side, width: side, values: scalars)
    }

    private func multiArray(_ latents: Planes, for function: Function) throws -> MLFeatureValue {
        let input = try model(function).modelDescription.inputDescriptionsByName["latents"]
        let shape = [1, latents.channels, latents.height, latents.width]
        let wanted = input?.multiArrayConstraint?.shape.map(\.intValue) ?? []
        guard let constraint = input?.multiArrayConstraint, wanted == shape else {
            throw unfit(function, expected: "an input latents \(shape)", found: "\(wanted)")
        }
        let type = constraint.dataType
        guard type == .float16 || type == .float32 else {
            throw unfit(function, expected: "Float16 or Float32", found: "type \(type.rawValue)")
        }
        guard let array = try? MLMultiArray(shape: constraint.shape, dataType: type) else {
            throw TinySRError.bufferUnavailable(width: latents.width, height: latents.height)
        }
        array.withUnsafeMutableBytes { bytes, _ in  // it is contiguous, because it is new
            latents.values.withUnsafeBytes { values in
                if type == .float32 {
                    bytes.copyMemory(from: values)
                } else {
                    halve(values, into: bytes, count: latents.values.count)
                }
            }
        }
        return MLFeatureValue(multiArray: array)
    }

    /// Rounds to Float16, which Swift does not have on Intel Macs.
    private func halve(
        _ values: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer, count: Int
    ) {
        var source = vImage_Buffer(
            data: UnsafeMutableRawPointer(mutating: values.baseAddress), height: 1,
            width: vImagePixelCount(count), rowBytes: count * 4)
        var target = vImage_Buffer(
            data: bytes.baseAddress, height: 1, width: vImagePixelCount(count),
            rowBytes: count * 2)
        vImageConvert_PlanarFtoPlanar16F(&source, &target, vImage_Flags(kvImageNoFlags))
    }

    private func unfit(_ function: Function, expected: String, found: String) -> TinySRError {
        .modelUnfit(expected: "\(expected) in \(function.rawValue)", found: found)
    }
}
#endif
