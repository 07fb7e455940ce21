using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Globalization;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.Chaos.Load;

/// <summary>Through the client library, as an application does.</summary>
internal sealed class LibraryWriter(FailoverConnection connection) : IWriter
{
    private readonly IDatabase _database = connection.GetDatabase();

    public async Task<int> WriteAsync(string key, long number, CancellationToken ct)
        => (int)await _database.ExecuteAsync("EVAL", LoadProcess.Script, 1, key, number);

    public ValueTask DisposeAsync() => connection.DisposeAsync();
}

/// <summary>A master, and when it is one no more.</summary>
internal sealed record Term(NodeAddress Master, CancellationToken Over);

/// <summary>Who is master, by a system's own word.</summary>
internal interface IMasterSource : IAsyncDisposable
{
    Term? Current { get; }

    /// <summary>It could not be reached or is none: ask again.</summary>
    void Doubt();
}

/// <summary>The present master; ends the term of the one before, so that nobody waits for its answers any more.</summary>
internal sealed class Office : IDisposable
{
    private readonly Lock _lock = new();
    private CancellationTokenSource _over = new();
    private volatile Term? _current;

    internal Term? Current => _current;

    public void Dispose() => _over.Dispose();

    internal void Take(NodeAddress? master)
    {
        CancellationTokenSource? over = null;
        lock (_lock)
        {
            if (master is not null && master != _current?.Master)
            {
                over = _over;
                _over = new CancellationTokenSource();
                _current = new Term(master, _over.Token);
            }
        }

        // Not disposed: who took the token a moment ago may just be about to link to it.
        over?.Cancel();
    }
}

/// <summary>The topology, as the client library follows it.</summary>
internal sealed class TopologyMaster : IMasterSource
{
    private readonly FailoverConnection _connection;
    private readonly Office _office = new();

    internal TopologyMaster(FailoverConnection connection)
    {
        _connection = connection;
        connection.TopologyChanged += topology => _office.Take(topology.Master);
        _office.Take(connection.Topology.Master);
    }

    public Term? Current => _office.Current;

    public void Doubt()
    {
        // It is told of every change.
    }

    public async ValueTask DisposeAsync()
    {
        await _connection.DisposeAsync();
        _office.Dispose();
    }
}

/// <summary>
/// Over bare connections, one a write at a time: what WAIT needs, as it speaks of the writes of its own connection; and what the best
/// client of Sentinel could be.
/// </summary>
internal sealed class WireWriter(IMasterSource source, int replicas) : IWriter
{
    private readonly ConcurrentBag<(NodeAddress Master, RedisWire Wire)> _idle = [];

    public async Task<int> WriteAsync(string key, long number, CancellationToken ct)
    {
        (NodeAddress master, CancellationToken over) = source.Current ?? throw new IOException("there is no master");
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct, over);
        deadline.CancelAfter(LoadProcess.WriteDeadline + (replicas > 0 ? LoadProcess.WriteDeadline : TimeSpan.Zero));
        RedisWire? wire = null;
        try
        {
            wire = await TakeAsync(master, deadline.Token);
            RedisReply node = await wire.CommandAsync(
                ["EVAL", LoadProcess.Script, "1", key, number.ToString(CultureInfo.InvariantCulture)], deadline.Token);
            if (replicas > 0)
            {
                ImmutableArray<string> wait =
                    ["WAIT", replicas.ToString(CultureInfo.InvariantCulture), LoadProcess.WriteDeadline.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture)];
                long have = long.Parse((await wire.CommandAsync(wait, deadline.Token)).Text!, CultureInfo.InvariantCulture);
                if (have < replicas)
                {
                    _idle.Add((master, wire));
                    wire = null;
                    throw new TimeoutException($"{have} replicas have it, {replicas} are wanted");
                }
            }

            _idle.Add((master, wire));
            wire = null;
            return int.Parse(node.Text!, CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is not TimeoutException)
        {
            source.Doubt();
            throw;
        }
        finally
        {
            if (wire is not null)
            {
                await wire.DisposeAsync();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        while (_idle.TryTake(out (NodeAddress, RedisWire Wire) idle))
        {
            await idle.Wire.DisposeAsync();
        }

        await source.DisposeAsync();
    }

    private async Task<RedisWire> TakeAsync(NodeAddress master, CancellationToken ct)
    {
        while (_idle.TryTake(out (NodeAddress Master, RedisWire Wire) idle))
        {
            if (idle.Master == master)
            {
                return idle.Wire;
            }

            await idle.Wire.DisposeAsync();
        }

        return await RedisWire.ConnectAsync(master.Host, master.Port, ct: ct);
    }
}
