namespace RedisFailover.IntegrationTests.Harness;

/// <summary>One ZooKeeper server for all tests that do nothing to the server itself: each works below a root of its own.</summary>
/// <remarks>A server is a second of processor time and a hundred megabytes; most tests only need its znodes.</remarks>
public static class SharedZooKeeper
{
    /// <summary>For tests in which a session has to outlive what is done to it, however slow the machine is.</summary>
    public const string LongSessions = "maxSessionTimeout=60000";

    private static readonly ZooKeeperServerOptions Options = new() { ConfLines = ["extendedTypesEnabled=true", LongSessions] };
    private static readonly Lazy<Task<ZooKeeperEnsemble>> Started = new(() => ZooKeeperEnsemble.StartAsync(Options, size: 1));
    private static int _roots;

    /// <summary>The server, started when it is first asked for. Nobody disposes of it but <see cref="StopAsync"/>.</summary>
    public static Task<ZooKeeperEnsemble> GetAsync() => Started.Value;

    /// <summary>A path of one level that nobody else uses.</summary>
    public static string NewRoot(string name)
        => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/{name}_{Interlocked.Increment(ref _roots)}");

    /// <summary>After the last test.</summary>
    public static async Task StopAsync()
    {
        if (Started.IsValueCreated)
        {
            await (await Started.Value).DisposeAsync();
        }
    }
}
