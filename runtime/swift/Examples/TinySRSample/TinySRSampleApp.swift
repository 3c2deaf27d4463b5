import SwiftUI

@main
struct TinySRSampleApp: App {
    var body: some Scene {
        WindowGroup {
            ContentView()
        }
    }
}
