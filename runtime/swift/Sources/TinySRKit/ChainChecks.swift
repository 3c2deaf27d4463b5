import Foundation

extension Chain {
    /// Number of channels of an image.
    private static let colors = 3
    /// Bound of every size: more is a damaged package.
    private static let sizes = 1...1 << 20
    private static let scales = 1...16

    /// Reads a chain as a package's metadata have it.
    ///
    /// - Throws: `TinySRError.modelUnfit`, if it is none.
    init(json: String) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            self = try decoder.decode(Chain.self, from: Data(json.utf8))
        } catch let error as DecodingError {
            throw TinySRError.modelUnfit(
                expected: "a chain of stages in the metadata", found: Self.describe(error))
        }
        try check()
    }

    private static func describe(_ error: DecodingError) -> String {
        func place(_ path: [CodingKey], _ words: String) -> String {
            let names = path.map { $0.intValue.map(String.init) ?? $0.stringValue }
            return path.isEmpty ? words : "\(words) at \(names.joined(separator: "."))"
        }
        switch error {
        case .keyNotFound(let key, let context):
            return place(context.codingPath, "no '\(key.stringValue)'")
        case .typeMismatch(let type, let context):
            return place(context.codingPath, "no \(type)")
        case .valueNotFound(let type, let context):
            return place(context.codingPath, "no \(type)")
        case .dataCorrupted(let context):
            return place(context.codingPath, context.debugDescription)
        @unknown default:
            return "\(error)"
        }
    }

    private func check() throws {
        try expect(
            enlarges == nil || enlarges == "none",
            "a model that takes images as they are; the Python runtime enlarges them before",
            enlarges ?? "none")
        try expect(
            Self.scales.contains(scale), "a scale from 1 to \(Self.scales.upperBound)", "\(scale)")
        try checkOrder()
        for (field, name, side) in [
            (fields[0], Self.image, scale), (fields[fields.count - 1], Self.result, 1),
        ] {
            try expect(
                field == Field(name: name, channels: Self.colors, pixelsPerCell: side),
                "'\(name)' of \(Self.colors) channels and \(side) pixels per cell at an end",
                "'\(field.name)' of \(field.channels) and \(field.pixelsPerCell)")
        }
        try stages.forEach(check)
    }

    private func checkOrder() throws {
        let expected = zip(fields, fields.dropFirst()).map { [$0.name, $1.name] }
        try expect(
            !stages.isEmpty && stages.map { [$0.reads, $0.gives] } == expected,
            "stages that lead through \(fields.map(\.name).joined(separator: ", ")) one by one",
            stages.map { "\($0.reads) to \($0.gives)" }.joined(separator: ", "))
        for (kind, found) in [("field", fields.map(\.name)), ("stage", names)] {
            try expect(
                Set(found).count == found.count, "\(kind)s with different names",
                found.joined(separator: ", "))
        }
        for field in fields {
            try expect(
                Self.sizes.contains(field.channels) && Self.sizes.contains(field.pixelsPerCell),
                "sizes from 1 to \(Self.sizes.upperBound)",
                "\(field.channels) and \(field.pixelsPerCell) of '\(field.name)'")
        }
    }

    private func check(_ stage: Stage) throws {
        let (reads, gives) = ends(stage.name)
        let (cell, least) = (cell(stage), min(reads.pixelsPerCell, gives.pixelsPerCell))
        try expect(
            cell % least == 0 && cell % scale == 0,
            "cells of \(stage.name) that divide each other and the image's pixels",
            "sides of \(reads.pixelsPerCell) and \(gives.pixelsPerCell) at scale \(scale)")
        try expect(
            Self.sizes.contains(stage.align), "an alignment of \(stage.name) of at least 1",
            "\(stage.align)")
        switch stage.division {
        case .windows(let halo):
            try expect(
                halo == 0 || Self.sizes.contains(halo), "surroundings of \(stage.name)", "\(halo)")
        case .tiles(let side, let overlap):
            try expect(
                Self.sizes.contains(side) && side % stage.align == 0
                    && (0..<side).contains(overlap) && overlap % stage.align == 0,
                "tiles of \(stage.name) and a smaller overlap that divide by \(stage.align)",
                "\(side) and \(overlap)")
        case .whole:
            break
        }
    }

    private func expect(_ fits: Bool, _ expected: String, _ found: String) throws {
        guard fits else { throw TinySRError.modelUnfit(expected: expected, found: found) }
    }
}
