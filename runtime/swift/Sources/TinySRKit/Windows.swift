/// A window along one side, in cells.
struct Span: Equatable, Sendable {
    let start: Int
    let stop: Int
    /// Where the part begins that this window gives; it ends before `last`.
    let first: Int
    let last: Int

    /// What the window reads, in places of which a cell has `each`.
    func read(_ each: Int) -> Range<Int> { start * each..<stop * each }

    /// The part that is kept, counted from the window's start, in such places.
    func kept(_ each: Int) -> Range<Int> { (first - start) * each..<(last - start) * each }

    /// Returns the span in cells that are so many times smaller.
    func enlarged(_ factor: Int) -> Span {
        Span(
            start: start * factor, stop: stop * factor, first: first * factor,
            last: last * factor)
    }
}

/// Covers a side with windows of exactly `side`: a package takes no sizes but those it lists.
///
/// A window gives its inner part, `side - 2 * halo`, and what reaches the image's own borders:
/// there the padding of the convolutions is that of the whole image. So windows together give what
/// the whole image would.
///
/// - Parameter length: at least `side`, which is more than two halos.
func windowSpans(length: Int, side: Int, halo: Int) -> [Span] {
    let core = side - 2 * halo
    let count = length <= side ? 1 : (length - 2 * halo + core - 1) / core
    var spans: [Span] = []
    var first = 0
    for index in 0..<count {
        let start = min(index * core, length - side)
        let last = index == count - 1 ? length : start + side - halo
        spans.append(Span(start: start, stop: start + side, first: first, last: last))
        first = last
    }
    return spans
}
