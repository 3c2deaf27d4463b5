import Foundation

/// What can go wrong. A cancelled task throws `CancellationError` instead.
public enum TinySRError: Error, Equatable, Sendable {
    /// The app's bundle has no compiled model of this name.
    case modelMissing(name: String)
    /// Core ML can't open the model.
    case modelUnreadable(reason: String)
    /// The model is none that `tinysr export -t coreml` writes.
    case modelUnfit(expected: String, found: String)
    /// The image has no pixels, or a format that can't be read.
    case imageUnfit(expected: String, found: String)
    /// The result would have more pixels than `Upscaler.Options.maxMegapixels` allows.
    case imageTooLarge(megapixels: Double, limit: Double)
    /// Core ML failed while it ran a function of the model.
    case predictionFailed(function: String, reason: String)
    /// A function of the model gave NaN or infinity.
    case notFinite(function: String)
    /// The system gave no memory for a buffer of this many pixels.
    case bufferUnavailable(width: Int, height: Int)
}

extension TinySRError: LocalizedError {
    public var errorDescription: String? {
        switch self {
        case .modelMissing(let name):
            return "Expected \(name).mlmodelc in the app's bundle, found none."
        case .modelUnreadable(let reason):
            return "Core ML can't open the model: \(reason)"
        case .modelUnfit(let expected, let found):
            return "The model can't be used: expected \(expected), found \(found)."
        case .imageUnfit(let expected, let found):
            return "The image can't be used: expected \(expected), found \(found)."
        case .imageTooLarge(let megapixels, let limit):
            return "The result would have \(Self.rounded(megapixels)) megapixels: "
                + "expected at most \(Self.rounded(limit))."
        case .predictionFailed(let function, let reason):
            return "Core ML failed in \(function): \(reason)"
        case .notFinite(let function):
            return "The model's \(function) gave values that are not finite."
        case .bufferUnavailable(let width, let height):
            return "No memory for a buffer of \(width)×\(height) pixels."
        }
    }

    public var recoverySuggestion: String? {
        switch self {
        case .modelMissing(let name):
            return "Add \(name).mlpackage to the target's Compile Sources."
        case .modelUnreadable, .modelUnfit:
            return "Export the package again with `tinysr export -t coreml`."
        case .imageUnfit:
            return nil
        case .imageTooLarge:
            return "Raise maxMegapixels, or take a smaller image."
        case .predictionFailed, .notFinite:
            return "Try computeUnits: .cpuOnly, and report which ones failed."
        case .bufferUnavailable:
            return "Take a smaller image."
        }
    }

    private static func rounded(_ value: Double) -> String {
        String(format: "%.1f", value)
    }
}
