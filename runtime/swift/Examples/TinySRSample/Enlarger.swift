import Foundation
import ImageIO
import Observation
import TinySRKit

/// Makes one photo larger at a time.
@MainActor
@Observable
final class Enlarger {
    private(set) var before: CGImage?
    private(set) var after: CGImage?
    /// From 0 to 1 while a photo is made; nil otherwise.
    private(set) var progress: Double?
    private(set) var message: String?

    private var upscaler: Upscaler?
    private var task: Task<Void, Never>?

    func enlarge(_ data: Data) {
        cancel()
        (after, message, progress) = (nil, nil, 0)
        task = Task { await run(data) }
    }

    func cancel() {
        task?.cancel()
    }

    private func run(_ data: Data) async {
        do {
            let photo = try Self.upright(data)
            before = photo
            after = try await open().upscale(photo) { [weak self] done, total in
                Task { @MainActor [weak self] in self?.show(done, of: total) }
            }
        } catch is CancellationError {
            message = "Cancelled."
        } catch {
            message = error.localizedDescription
        }
        progress = nil
    }

    private func show(_ done: Int, of total: Int) {
        if progress != nil { progress = Double(done) / Double(total) }
    }

    /// The model is loaded once, when it is first needed.
    private func open() async throws -> Upscaler {
        if let upscaler { return upscaler }
        let opened = try await Upscaler(contentsOf: Upscaler.modelURL())
        upscaler = opened
        return opened
    }

    /// Decodes a photo, turned upright, with at most 1024 pixels along its longer side.
    private static func upright(_ data: Data) throws -> CGImage {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceThumbnailMaxPixelSize: 1024,
        ]
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
        else { throw CocoaError(.fileReadCorruptFile) }
        return image
    }
}
