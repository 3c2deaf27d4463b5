import PhotosUI
import SwiftUI

@MainActor
struct ContentView: View {
    @State private var enlarger = Enlarger()
    @State private var selection: PhotosPickerItem?

    var body: some View {
        VStack(spacing: 16) {
            picture(enlarger.after ?? enlarger.before)
            if let progress = enlarger.progress {
                ProgressView(value: progress)
                Button("Cancel", role: .cancel) { enlarger.cancel() }
            }
            if let message = enlarger.message {
                Text(message).foregroundStyle(.secondary)
            }
            PhotosPicker("Choose a photo", selection: $selection, matching: .images)
                .buttonStyle(.borderedProminent)
                .disabled(enlarger.progress != nil)
        }
        .padding()
        .task(id: selection) {
            guard let data = try? await selection?.loadTransferable(type: Data.self) else { return }
            enlarger.enlarge(data)
        }
    }

    @ViewBuilder
    private func picture(_ image: CGImage?) -> some View {
        if let image {
            Image(decorative: image, scale: 1)
                .resizable()
                .scaledToFit()
            Text("\(image.width) × \(image.height)").font(.caption)
        } else {
            ContentUnavailableView("No photo yet", systemImage: "photo")
        }
    }
}
