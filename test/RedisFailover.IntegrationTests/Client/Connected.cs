using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>
/// A connection whose every node is connected: connecting itself waits for the others only for a moment once the master is.
/// </summary>
internal static class Connected
{
    public static async Task<FailoverConnection> ToAllAsync(ITopologySource topologies, FailoverOptions? options = null)
    {
        FailoverConnection connection = await FailoverConnection.ConnectAsync(topologies, options, CancellationToken.None);
        await Eventually.HoldsAsync("every node is connected", ()
            => connection.Status.Unreachable.IsEmpty, explain: () => connection.Status.ToString());
        return connection;
    }
}
