namespace RedisFailover.Client;

/// <summary>
/// After a promotion the node's own multiplexer takes it for a replica and refuses writes until it has configured itself anew: by
/// itself 3.4 asks for roles each ConfigCheckSeconds, 60. This is what stands between the published topology and the first write.
/// </summary>
internal static class MasterRole
{
    private static readonly TimeSpan s_longestPause = TimeSpan.FromMilliseconds(250);

    /// <summary>Returns when the multiplexer lets writes through; keeps trying until then or until cancelled.</summary>
    public static async Task LearnAsync(LiveNode node, TimeProvider time, CancellationToken cancellation)
    {
        TimeSpan pause = TimeSpan.Zero;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();

            // False: another configuration was running, which may have asked before the promotion. Again.
            if (await ConfigureAsync(node).ConfigureAwait(false) && node.TakesWrites)
            {
                return;
            }

            if (pause > TimeSpan.Zero)
            {
                await Task.Delay(pause, time, cancellation).ConfigureAwait(false);
            }
            else
            {
                await Task.Yield();
            }

            pause = pause == TimeSpan.Zero ? TimeSpan.FromMilliseconds(1) : Shorter(pause * 2, s_longestPause);
        }
    }

    private static async Task<bool> ConfigureAsync(LiveNode node)
    {
        try
        {
            return await node.Multiplexer.ConfigureAsync().ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is not OperationCanceledException)
        {
            // The connection went away; its link makes another, and the caller is cancelled.
            return false;
        }
    }

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
