namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Asks a node what the monitors' user may do there (<see cref="NodeRight"/>), before it is needed, and changes nothing by it.
/// </summary>
internal static class RightsCheck
{
    /// <summary>
    /// What is missing, and whether SLAVEOF has to stand for REPLICAOF. What cannot be told now (BUSY, LOADING) stays as it was
    /// known.
    /// </summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal static async Task<(NodeRights Missing, bool UsesSlaveOf)> AskAsync(RedisConnection connection, NodeRights missing,
        bool usesSlaveOf)
    {
        NodeRight[] alone = [.. NodeRight.All.Where(r => !r.Harmless.IsEmpty)];
        NodeRight[] together = [.. NodeRight.All.Where(r => r.Harmless.IsEmpty)];
        Task<RespValue[]> answers = Task.WhenAll(alone.Select(r => connection.SendAsync(r.Harmless.AsSpan())));
        RespValue discard = await connection.SendAsync("DISCARD");
        RespValue[] replies = await answers;
        for (int i = 0; i < alone.Length; i++)
        {
            missing = With(missing, alone[i].Right, Denies(replies[i]));
            if (alone[i].Instead is { } other)
            {
                RespValue? reply = Denies(replies[i]) == true
                    ? await connection.SendAsync([other.ToUpperInvariant(), .. alone[i].Harmless[1..]]) : null;
                usesSlaveOf = reply is null ? Denies(replies[i]) is null && usesSlaveOf : Denies(reply) == false;
                missing = reply is null ? missing : With(missing, alone[i].Right, Denies(reply));
            }
        }

        // Only who may discard a transaction begins one.
        if (discard.IsErrorOf("ERR") && Denies(discard) == false)
        {
            RespValue[] queued =
                await connection.SendAllAsync([["MULTI"], .. together.Select(r => r.Command.ToUpperInvariant().Split('|')), ["DISCARD"]]);
            for (int i = 0; i < together.Length && !queued[0].IsError; i++)
            {
                missing = With(missing, together[i].Right, Denies(queued[i + 1]));
            }
        }

        return (missing, usesSlaveOf);
    }

    private static NodeRights With(NodeRights missing, NodeRights right, bool? isMissing)
        => isMissing switch { true => missing | right, false => missing & ~right, null => missing };

    /// <summary>Whether a reply says that the command may not be used, or is not known there; null where it tells neither.</summary>
    internal static bool? Denies(RespValue reply)
        => reply.IsErrorOf("NOPERM")
            || (reply.IsErrorOf("ERR") && reply.Text!.StartsWith("ERR unknown command", StringComparison.OrdinalIgnoreCase)) ? true
            : reply.IsError && !reply.IsErrorOf("ERR") ? null
            : false;
}
