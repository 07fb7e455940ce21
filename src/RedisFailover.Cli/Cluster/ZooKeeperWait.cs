using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>What somebody is told who waits for ZooKeeper.</summary>
internal static class ZooKeeperWait
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);

    /// <summary>
    /// What takes long is looked into: it fails at once where nothing can come of waiting, and says what it waits for where something
    /// can.
    /// </summary>
    /// <exception cref="CliException">Every server refuses, is unknown, or is no ZooKeeper.</exception>
    internal static async Task<T> NotSilentAsync<T>(Task<T> connecting, ZooKeeperConnectionString connection, TextWriter errors,
        CancellationToken ct)
    {
        if (await Task.WhenAny(connecting, Task.Delay(Patience, TimeProvider.System, ct)) != connecting && !ct.IsCancellationRequested)
        {
            ZooKeeperDiagnosis diagnosis = await ZooKeeperDiagnosis.OfAsync(Options(connection), ct);
            if (diagnosis.IsHopeless && !connecting.IsCompletedSuccessfully)
            {
                _ = connecting.ContinueWith(static t
                    => t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
                throw new CliException($"ZooKeeper cannot be reached: {diagnosis.Text}");
            }

            if (!connecting.IsCompleted)
            {
                await errors.WriteLineAsync($"redis-failover: waiting for ZooKeeper ({diagnosis.Text})");
            }
        }

        return await connecting;
    }

    /// <summary>Why it did not answer in time.</summary>
    internal static async Task<CliException> UnreachableAsync(
        ZooKeeperConnectionString connection, TimeSpan timeout, CancellationToken ct, Exception? inner = null)
    {
        ZooKeeperDiagnosis diagnosis = await ZooKeeperDiagnosis.OfAsync(Options(connection), ct);
        return new CliException(
            diagnosis.IsHopeless
                ? $"ZooKeeper cannot be reached: {diagnosis.Text}"
                : $"ZooKeeper did not answer within {timeout.TotalSeconds:0.###} s: {diagnosis.Text}",
            inner: inner);
    }

    /// <summary>Whoever is asked need not be told who asks.</summary>
    private static ZooKeeperOptions Options(ZooKeeperConnectionString connection)
        => new() { Connection = connection, Tls = ZooKeeperAccess.ZooKeeperTls };
}
