using System.Collections.Immutable;
using System.Globalization;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>How a master's writes are held during a switchover, and go on or are refused afterwards.</summary>
/// <remarks>
/// <para>Since Redis 6.2 <c>CLIENT PAUSE … WRITE</c> holds writes alone, and <c>CLIENT UNPAUSE</c> lets them go on. INFO, sent behind
/// it on the same connection, tells the offset at which the master stands still.</para>
/// <para>Before 6.2 <c>CLIENT PAUSE</c> stops reading from every connection but those of replicas, ours and new ones as well, and
/// nothing lifts it before its time. So everything has to be in one transaction: EXEC still runs and answers all of it. When the time is
/// over the clients that were held come in any order, before our next command or after it, so that a write could be acknowledged by a
/// master that has been replaced. Therefore the same transaction sets min-replicas-to-write to more replicas than there can be: from then
/// on the master refuses writes (NOREPLICAS, which says that nothing was applied) until it is a replica or the switchover is undone. A
/// replica takes no notice of the setting, and active expiry and eviction stand still during the pause, so the offset does.</para>
/// </remarks>
internal static class WritePause
{
    /// <summary>Since 6.2.</summary>
    internal static string[] PauseWritesAlone(PauseWrites pause) => ["CLIENT", "PAUSE", Millis(pause), "WRITE"];

    /// <summary>
    /// Before 6.2: holds everything for a time, refuses writes from then on, and reads the offset, which holds from the answer
    /// on.
    /// </summary>
    internal static async Task<ActionFinished> PauseAllAsync(PauseWrites pause, ICommandedNode node, MonotonicClock clock,
        CancellationToken cancellationToken)
    {
        ImmutableArray<string[]> commands =
        [
            ["MULTI"],
            SetMinReplicas(MinReplicas.Refusing),
            ["CLIENT", "PAUSE", Millis(pause)],
            ["INFO"],
            ["EXEC"],
        ];
        (RespValue[] queued, NodeInfo? last) = await node.TransactionAsync(commands, cancellationToken);
        string? failure = queued.Where(r => r.IsError).Select(r => r.Text).FirstOrDefault()
            ?? (queued[^1] is { Kind: RespKind.Array, Items: [var set, var paused, ..] }
                ? set.IsError ? set.Text : paused.IsError ? paused.Text : last is null ? "it refuses INFO" : null
                : "it did not carry the transaction out");
        return new ActionFinished(clock.Now, pause, failure, last);
    }

    /// <summary>What lets writes go on.</summary>
    internal static ImmutableArray<string[]> Resume(ResumeWrites resume)
        => resume.MinReplicas is { } count ? [["CLIENT", "UNPAUSE"], SetMinReplicas(count)] : [["CLIENT", "UNPAUSE"]];

    /// <summary>The name that every version knows.</summary>
    internal static string[] SetMinReplicas(int count)
        => ["CONFIG", "SET", "min-slaves-to-write", count.ToString(CultureInfo.InvariantCulture)];

    /// <summary>Whether it is such a command.</summary>
    internal static bool IsSetMinReplicas(string[] command) => command is ["CONFIG", "SET", "min-slaves-to-write", _];

    private static string Millis(PauseWrites pause) => pause.For.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture);
}
