using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.Monitor.Redis;

/// <summary>Reads what a node says of itself: INFO, and those of its settings that INFO leaves out (save, min-replicas, stale reads).</summary>
internal sealed class WhatNodeSays(FailoverPolicy policy, NodeNames names)
{
    private bool _servesStaleData = true;
    private MinReplicas? _minReplicas;
    private bool _isOld;
    private bool _stopsWritesOnSaveError;

    /// <summary>INFO's reply with what else is known of the node, all other nodes by the names that they are configured with.</summary>
    /// <exception cref="FormatException">It is not what a Redis says.</exception>
    internal async ValueTask<NodeInfo> ReadAsync(RespValue reply, CancellationToken cancellationToken)
    {
        NodeInfo info = NodeInfo.Parse(reply.Text ?? "") with
        {
            ServesStaleData = _servesStaleData, MinReplicas = Volatile.Read(ref _minReplicas), StopsWritesOnSaveError = _stopsWritesOnSaveError,
        };
        _isOld = !info.PausesWritesAlone;
        if (policy.WriteSafety == WriteSafetyMode.Replicated && !info.Attached.IsEmpty)
        {
            ImmutableArray<NodeAddress>.Builder attached = ImmutableArray.CreateBuilder<NodeAddress>(info.Attached.Length);
            foreach (NodeAddress replica in info.Attached)
            {
                attached.Add(await names.IdentifyAsync(replica, cancellationToken));
            }

            info = info with { Attached = attached.MoveToImmutable() };
        }

        return info.MasterAddress is { } master ? info with { MasterAddress = await names.IdentifyAsync(master, cancellationToken) } : info;
    }

    /// <summary>
    /// Whether it would answer reads without a link to its master, and whether it refuses writes when it cannot save. Where CONFIG is
    /// not allowed, the harmless is assumed: it does, and it does not.
    /// </summary>
    internal async Task LearnSettingsAsync(RedisConnection connection)
    {
        try
        {
            Task<RespValue> staleReads = connection.SendAsync("CONFIG", "GET", "slave-serve-stale-data");
            Task<RespValue> stops = connection.SendAsync("CONFIG", "GET", "stop-writes-on-bgsave-error");
            Task<RespValue> savePoints = connection.SendAsync("CONFIG", "GET", "save");
            _servesStaleData = Setting(await staleReads) is not "no";
            // Redis refuses writes only where it is meant to save by itself.
            _stopsWritesOnSaveError = Setting(await stops) is "yes" && Setting(await savePoints) is { Length: > 0 };
        }
        catch (IOException)
        {
            // The connection ended, which its heartbeat tells.
        }
    }

    /// <summary>Asks for min-replicas-to-write. Only where it is managed; before 6.2 every switchover touches it.</summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal async Task LearnMinReplicasAsync(RedisConnection connection)
    {
        if (_isOld || policy.WriteSafety == WriteSafetyMode.Replicated)
        {
            Volatile.Write(ref _minReplicas, MinReplicasIn(await connection.SendAsync("CONFIG", "GET", "min-slaves-*")));
        }
    }

    /// <summary>What min-replicas-to-write and min-replicas-max-lag have just been set to.</summary>
    internal void Learned(MinReplicas set) => Volatile.Write(ref _minReplicas, set);

    private static string? Setting(RespValue reply) => reply is { Kind: RespKind.Array, Items: [_, { Text: var value }] } ? value : null;

    private static MinReplicas? MinReplicasIn(RespValue reply)
    {
        int? count = null;
        int? lag = null;
        for (int i = 0; reply.Kind == RespKind.Array && i + 1 < reply.Items.Length; i += 2)
        {
            int? value = int.TryParse(reply.Items[i + 1].Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
            count = reply.Items[i].Text == "min-slaves-to-write" ? value : count;
            lag = reply.Items[i].Text == "min-slaves-max-lag" ? value : lag;
        }

        return count is null || lag is null ? null : new MinReplicas(count.Value, lag.Value);
    }
}
