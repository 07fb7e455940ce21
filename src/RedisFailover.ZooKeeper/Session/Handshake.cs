namespace RedisFailover.ZooKeeper;

/// <summary>The first frame each way of a connection: which session comes, and what the server says to it.</summary>
internal static class Handshake
{
    /// <param name="connection">A connection that nothing was sent on.</param>
    /// <param name="timeout">The session timeout that is asked for.</param>
    /// <param name="lastZxid">A server that has seen less refuses the connection.</param>
    /// <param name="session">The session, and its password; 0 and zeros for a new one.</param>
    /// <param name="cancellationToken">Closes the connection.</param>
    internal static async Task<ConnectResponse> GreetAsync(
        ServerConnection connection, TimeSpan timeout, long lastZxid, (long Id, byte[] Password) session,
        CancellationToken cancellationToken)
    {
        connection.SendRaw(writer =>
        {
            writer.Int32(0);
            writer.Int64(lastZxid);
            writer.Int32((int)timeout.TotalMilliseconds);
            writer.Int64(session.Id);
            writer.Buffer(session.Password);
            writer.Bool(false);
        });
        return await Dialer.OnThreadOfItsOwnAsync(
            () => ConnectResponse.Read(connection.Receive().Span), connection, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Closes the session before this one, if the server still has it. Otherwise its ephemeral znodes would stand in the way of their own
    /// maker until the server expires it; after a restart it counts its timeout anew. The connection is used up by that.
    /// </summary>
    /// <param name="connection">A connection that nothing was sent on.</param>
    /// <param name="timeout">The session timeout that is asked for.</param>
    /// <param name="former">The session.</param>
    /// <param name="logger">The log.</param>
    /// <param name="cancellationToken">Closes the connection.</param>
    internal static async Task CloseFormerAsync(
        ServerConnection connection, TimeSpan timeout, FormerSession former, LogQueue logger, CancellationToken cancellationToken)
    {
        // Not its last zxid: a server that has lost data is to answer too.
        ConnectResponse response = await GreetAsync(connection, timeout, 0, (former.Id, former.Password), cancellationToken)
            .ConfigureAwait(false);
        if (response.TimeoutMs <= 0 || response.SessionId != former.Id)
        {
            return;
        }

        connection.SendRaw(static writer =>
        {
            writer.Int32(1);
            writer.Int32((int)OpCode.CloseSession);
        });
        await Dialer.OnThreadOfItsOwnAsync(() => connection.Receive().Length, connection, cancellationToken).ConfigureAwait(false);
        if (former.RefusedScheme is null)
        {
            Log.FormerSessionClosed(logger, former.Id, connection.Server);
        }
    }
}

/// <summary>The server's answer to a connect request.</summary>
internal readonly record struct ConnectResponse(int TimeoutMs, long SessionId, byte[] Password, bool ReadOnly)
{
    internal static ConnectResponse Read(ReadOnlySpan<byte> frame)
    {
        var reader = new JuteReader(frame);
        _ = reader.Int32();
        int timeoutMs = reader.Int32();
        long sessionId = reader.Int64();
        byte[] password = reader.Buffer().ToArray();

        // Servers before 3.4 do not send the last byte.
        bool readOnly = reader.Remaining > 0 && reader.Bool();
        return new ConnectResponse(timeoutMs, sessionId, password, readOnly);
    }
}

/// <summary>A session that its client has given up; its password is a secret.</summary>
internal sealed class FormerSession(long id, byte[] password, string? refusedScheme = null)
{
    /// <summary>The scheme whose credentials were refused, if that ended it: told already.</summary>
    internal string? RefusedScheme => refusedScheme;

    internal long Id => id;

    internal byte[] Password => password;
}
