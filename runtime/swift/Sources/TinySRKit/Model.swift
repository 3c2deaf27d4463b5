#if canImport(CoreML)
import Accelerate
import CoreML
import CoreVideo

/// A compiled package, and those of its functions that were loaded.
///
/// A Core ML model may be used by one thread at a time: `Upscaler` passes packages around, and only
/// runs them on its own queue. So they are sendable, which the compiler can't see.
struct Package: Network, @unchecked Sendable {
    let spec: ChainSpec
    let hasStages: Bool
    private let url: URL
    private let computeUnits: MLComputeUnits
    /// Whether the functions have names: that of a package for iOS 17 has none.
    private let isNamed: Bool
    /// By the functions' names.
    private var models: [String: MLModel]

    /// Opens a package and loads the function of the whole.
    ///
    /// - Parameter url: a `.mlmodelc` as Xcode compiles it, or a `.mlpackage`, which is compiled
    ///   first: that takes seconds.
    static func open(_ url: URL, computeUnits: MLComputeUnits) async throws -> Package {
        do {
            let compiled =
                url.pathExtension == "mlmodelc" ? url : try await MLModel.compileModel(at: url)
            let names = try await functionNames(compiled)
            let model = try await load(
                names.isEmpty ? nil : Chain.whole, of: compiled, computeUnits: computeUnits)
            return try Package(
                whole: model, names: names, url: compiled, computeUnits: computeUnits)
        } catch let error where error is TinySRError || error is CancellationError {
            throw error
        } catch {
            throw TinySRError.modelUnreadable(reason: error.localizedDescription)
        }
    }

    private init(
        whole: MLModel, names: [String], url: URL, computeUnits: MLComputeUnits
    ) throws {
        let metadata = whole.modelDescription.metadata[.creatorDefinedKey]
        spec = try ChainSpec(metadata: metadata as? [String: String] ?? [:])
        isNamed = !names.isEmpty
        let found = isNamed ? names : [Chain.whole]
        hasStages = Set(found).isSuperset(of: spec.chain.names)
        self.url = url
        self.computeUnits = computeUnits
        models = [Chain.whole: whole]
        guard hasStages || !isNamed else {
            throw TinySRError.modelUnfit(
                expected: "the functions \(spec.chain.functions.joined(separator: ", "))",
                found: names.joined(separator: ", "))
        }
        let image = whole.modelDescription.inputDescriptionsByName[Chain.image]?.imageConstraint
        let side = spec.sides(of: Chain.whole).reads
        guard let image, image.pixelsWide == side, image.pixelsHigh == side else {
            throw TinySRError.modelUnfit(
                expected: "an input \(Chain.image) of \(side)×\(side) pixels",
                found: image.map { "\($0.pixelsWide)×\($0.pixelsHigh)" } ?? "none")
        }
    }

    /// Returns the package with these functions loaded.
    func with(_ functions: [String]) async throws -> Package {
        var package = self
        for function in functions where package.models[function] == nil {
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

    /// Returns the names of a package's functions; none if it has but one.
    private static func functionNames(_ compiled: URL) async throws -> [String] {
        guard #available(iOS 18, macOS 15, tvOS 18, visionOS 2, *) else { return [] }
        let names = try await MLModelAsset(url: compiled).functionNames
        guard names.count > 1 else { return [] }
        guard names.contains(Chain.whole) else {
            throw TinySRError.modelUnfit(
                expected: "a function \(Chain.whole)", found: names.joined(separator: ", "))
        }
        return names
    }

    private static func load(
        _ function: String?, of compiled: URL, computeUnits: MLComputeUnits
    ) async throws -> MLModel {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = computeUnits
        if let function, #available(iOS 18, macOS 15, tvOS 18, visionOS 2, *) {
            configuration.functionName = function
        }
        return try await MLModel.load(contentsOf: compiled, configuration: configuration)
    }
}

extension Package {
    func run(_ function: String, _ input: Planes) throws -> Planes {
        guard let model = models[function] else {
            throw TinySRError.modelUnfit(expected: "the function \(function)", found: "none")
        }
        let (reads, gives) = spec.chain.ends(function)
        return try autoreleasepool {
            let value =
                try reads.name == Chain.image
                ? MLFeatureValue(pixelBuffer: Raster(input).pixelBuffer())
                : multiArray(input, reads.name, of: model, function)
            let found = try predict(model, function, [reads.name: value], gives.name)
            return try gives.name == Chain.result
                ? image(found, of: function) : planes(found, gives, of: function)
        }
    }

    private func predict(
        _ model: MLModel, _ function: String, _ inputs: [String: MLFeatureValue], _ output: String
    ) throws -> MLFeatureValue {
        let found: MLFeatureValue?
        do {
            let features = try MLDictionaryFeatureProvider(dictionary: inputs)
            found = try model.prediction(from: features).featureValue(for: output)
        } catch {
            throw TinySRError.predictionFailed(
                function: function, reason: error.localizedDescription)
        }
        guard let found else {
            throw unfit(function, expected: "the output \(output)", found: "none")
        }
        return found
    }

    private func image(_ value: MLFeatureValue, of function: String) throws -> Planes {
        let side = spec.sides(of: function).gives
        let expected = "an image of \(side)×\(side) pixels"
        guard let buffer = value.imageBufferValue else {
            throw unfit(function, expected: expected, found: "no image")
        }
        let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
        guard width == side, height == side else {
            throw unfit(function, expected: expected, found: "\(width)×\(height)")
        }
        return try Raster(bgra: buffer).planes(0..<3)
    }

    private func planes(
        _ value: MLFeatureValue, _ field: Chain.Field, of function: String
    ) throws -> Planes {
        let side = spec.sides(of: function).gives
        let wanted = [1, field.channels, side, side]
        let shape = value.multiArrayValue?.shape.map(\.intValue) ?? []
        guard let array = value.multiArrayValue, shape == wanted else {
            throw unfit(
                function, expected: "an output \(field.name) \(wanted)", found: "\(shape)")
        }
        let scalars = MLShapedArray<Float>(converting: array).scalars  // strides and types too
        return Planes(channels: field.channels, height: side, width: side, values: scalars)
    }

    private func multiArray(
        _ input: Planes, _ name: String, of model: MLModel, _ function: String
    ) throws -> MLFeatureValue {
        let described = model.modelDescription.inputDescriptionsByName[name]
        let shape = [1, input.channels, input.height, input.width]
        let wanted = described?.multiArrayConstraint?.shape.map(\.intValue) ?? []
        guard let constraint = described?.multiArrayConstraint, wanted == shape else {
            throw unfit(function, expected: "an input \(name) \(shape)", found: "\(wanted)")
        }
        let type = constraint.dataType
        guard type == .float16 || type == .float32 else {
            throw unfit(function, expected: "Float16 or Float32", found: "type \(type.rawValue)")
        }
        guard let array = try? MLMultiArray(shape: constraint.shape, dataType: type) else {
            throw TinySRError.bufferUnavailable(width: input.width, height: input.height)
        }
        array.withUnsafeMutableBytes { bytes, _ in  // it is contiguous, because it is new
            input.values.withUnsafeBytes { values in
                if type == .float32 {
                    bytes.copyMemory(from: values)
                } else {
                    halve(values, into: bytes, count: input.values.count)
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

    private func unfit(_ function: String, expected: String, found: String) -> TinySRError {
        .modelUnfit(expected: "\(expected) in \(function)", found: found)
    }
}
#endif
