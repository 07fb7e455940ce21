namespace RedisFailover.ZooKeeper;

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

/// <summary>Credentials, sent first on every connection.</summary>
internal sealed class AuthRequest(ZooKeeperAuth auth) : Request<bool>(OpCode.Auth)
{
    internal string Scheme => auth.Scheme;

    internal string Refusal => $"the server refused the credentials of scheme {auth.Scheme}, and the session is over";

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        writer.Int32(0);
        writer.String(auth.Scheme);
        writer.Buffer(auth.Credentials);
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, ZooKeeperSession session, out bool result, out ZooKeeperException? error)
    {
        result = header.Error == ZooKeeperErrorCode.Ok;
        error = header.Error == ZooKeeperErrorCode.AuthFailed ? new ZooKeeperException(header.Error, Name, null, detail: Refusal) : null;
        return result;
    }
}

/// <summary>
/// Tells a server which watches the session holds. It answers with events for everything that changed after <c>relativeZxid</c>.
/// </summary>
internal sealed class SetWatchesRequest : Request<bool>
{
    private readonly long _relativeZxid;
    private readonly List<string>[] _paths = [[], [], []];

    private SetWatchesRequest(long relativeZxid)
        : base(OpCode.SetWatches) => _relativeZxid = relativeZxid;

    /// <summary>
    /// As many requests as needed, each below the size given. All carry the same zxid: nothing between them can be missed.
    /// </summary>
    internal static List<SetWatchesRequest> For(WatchTable watches, long relativeZxid, int chunkBytes)
    {
        List<SetWatchesRequest> requests = [];
        int bytes = chunkBytes;
        foreach (WatchKind kind in (ReadOnlySpan<WatchKind>)[WatchKind.Data, WatchKind.Existence, WatchKind.Children])
        {
            foreach (string path in watches.Paths(kind))
            {
                int size = 4 + System.Text.Encoding.UTF8.GetByteCount(path);
                if (bytes + size > chunkBytes)
                {
                    requests.Add(new SetWatchesRequest(relativeZxid));
                    bytes = 28;
                }

                bytes += size;
                requests[^1]._paths[(int)kind - 1].Add(path);
            }
        }

        return requests;
    }

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        writer.Int64(_relativeZxid);
        foreach (WatchKind kind in (ReadOnlySpan<WatchKind>)[WatchKind.Data, WatchKind.Existence, WatchKind.Children])
        {
            List<string> paths = _paths[(int)kind - 1];
            writer.Int32(paths.Count);
            foreach (string path in paths)
            {
                writer.String(path);
            }
        }
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, ZooKeeperSession session, out bool result, out ZooKeeperException? error)
    {
        (result, error) = (header.Error == ZooKeeperErrorCode.Ok, null);
        return result;
    }
}
