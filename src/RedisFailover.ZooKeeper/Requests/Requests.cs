using System.Collections.Concurrent;
using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>A read that may set a watch.</summary>
internal abstract class WatchingRequest<T>(OpCode op) : Request<T>(op)
{
    /// <summary>Registered with the reply; null for none.</summary>
    internal Watcher? Watcher { get; set; }

    /// <summary>What the reply has set the watch on; null for nothing.</summary>
    protected WatchKind? SetOn { get; set; }

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        writer.Path(chroot, Path!);
        writer.Bool(Watcher is not null);
    }

    /// <summary>
    /// A cancelled read registers nothing: its event, should the server send one, finds nobody, and no reconnect sets it again.
    /// </summary>
    protected sealed override void Accepted(WatchRegistry watches)
    {
        if (SetOn is { } kind)
        {
            watches.Register(kind, Path!, Watcher);
        }
    }
}

/// <summary>Reads a znode; pooled, for it is what a busy client does most.</summary>
internal sealed class GetDataRequest() : WatchingRequest<Znode>(OpCode.GetData)
{
    private static readonly RequestPool<GetDataRequest> Pool = new();

    internal static GetDataRequest Rent(string path, Watcher? watcher)
    {
        GetDataRequest request = Pool.TryRent() ?? new GetDataRequest();
        request.Path = path;
        request.Watcher = watcher;
        return request;
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out Znode? result, out ZooKeeperException? error)
    {
        (result, error) = (null, null);
        if (header.Error != ZooKeeperErrorCode.Ok)
        {
            return false;
        }

        ReadOnlySpan<byte> data = body.Buffer();
        result = new Znode(data.ToArray(), body.Stat());
        SetOn = WatchKind.Data;
        return true;
    }

    protected override void Recycle()
    {
        (Watcher, SetOn) = (null, null);
        Reset();
        Pool.Return(this);
    }
}

/// <summary>Writes a znode's data; pooled.</summary>
internal sealed class SetDataRequest() : Request<ZnodeStat>(OpCode.SetData)
{
    private static readonly RequestPool<SetDataRequest> Pool = new();

    private ReadOnlyMemory<byte> _data;
    private int _version;

    internal static SetDataRequest Rent(string path, ReadOnlyMemory<byte> data, int version)
    {
        SetDataRequest request = Pool.TryRent() ?? new SetDataRequest();
        request.Path = path;
        request._data = data;
        request._version = version;
        return request;
    }

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        writer.Path(chroot, Path!);
        writer.Buffer(_data.Span);
        writer.Int32(_version);
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out ZnodeStat result, out ZooKeeperException? error)
    {
        error = null;
        result = header.Error == ZooKeeperErrorCode.Ok ? body.Stat() : default;
        return header.Error == ZooKeeperErrorCode.Ok;
    }

    protected override void Recycle()
    {
        _data = default;
        Reset();
        Pool.Return(this);
    }
}

/// <summary>Asks whether a znode exists; a watch is registered either way.</summary>
internal sealed class ExistsRequest : WatchingRequest<ZnodeStat?>
{
    internal ExistsRequest(string path, Watcher? watcher)
        : base(OpCode.Exists)
    {
        Path = path;
        Watcher = watcher;
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out ZnodeStat? result, out ZooKeeperException? error)
    {
        (result, error) = (null, null);
        switch (header.Error)
        {
            case ZooKeeperErrorCode.Ok:
                result = body.Stat();
                SetOn = WatchKind.Data;
                return true;
            case ZooKeeperErrorCode.NoNode:
                SetOn = WatchKind.Existence;
                return true;
            default:
                return false;
        }
    }
}

/// <summary>Lists a znode's children.</summary>
internal sealed class GetChildrenRequest : WatchingRequest<ZnodeChildren>
{
    internal GetChildrenRequest(string path, Watcher? watcher)
        : base(OpCode.GetChildren2)
    {
        Path = path;
        Watcher = watcher;
    }

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out ZnodeChildren? result, out ZooKeeperException? error)
    {
        (result, error) = (null, null);
        if (header.Error != ZooKeeperErrorCode.Ok)
        {
            return false;
        }

        ImmutableArray<string> names = body.Strings();
        result = new ZnodeChildren(names, body.Stat());
        SetOn = WatchKind.Children;
        return true;
    }
}

/// <summary>The rarer operations, each given by what it writes and what it reads.</summary>
internal sealed class PlainRequest<T> : Request<T>
{
    private readonly Action<JuteWriter, string> _write;
    private readonly ReadReply _read;

    internal PlainRequest(OpCode op, string? path, Action<JuteWriter, string> write, ReadReply read)
        : base(op)
    {
        Path = path;
        _write = write;
        _read = read;
    }

    internal delegate T ReadReply(ref JuteReader body, WatchRegistry watches);

    protected override void WriteBody(JuteWriter writer, string chroot) => _write(writer, chroot);

    protected override bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out T? result, out ZooKeeperException? error)
    {
        error = null;
        bool ok = header.Error == ZooKeeperErrorCode.Ok;
        result = ok ? _read(ref body, watches) : default;
        return ok;
    }
}

/// <summary>Keeps used requests for the next callers: at most as many as are worth keeping.</summary>
internal sealed class RequestPool<T>
    where T : class
{
    private const int Kept = 1024;

    private readonly ConcurrentQueue<T> _free = new();
    private int _count;

    internal T? TryRent()
    {
        if (!_free.TryDequeue(out T? request))
        {
            return null;
        }

        Interlocked.Decrement(ref _count);
        return request;
    }

    internal void Return(T request)
    {
        if (Interlocked.Increment(ref _count) <= Kept)
        {
            _free.Enqueue(request);
        }
        else
        {
            Interlocked.Decrement(ref _count);
        }
    }
}
