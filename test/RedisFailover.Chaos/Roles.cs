using System.Net.Sockets;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Chaos;

/// <summary>What a node said last: of whom it is a replica (null: a master), whether that link is up, how far its data go.</summary>
internal sealed record Role(DateTime At, string? Follows, bool LinkUp, long Offset);

/// <summary>From when on a node called itself master. It may have begun a moment later, never earlier.</summary>
internal readonly record struct Tenure(DateTime From, Machine Node);

/// <summary>Asks every node for its role, 20 times a second, over a path that is never cut: the referee's eyes.</summary>
internal sealed class Roles : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<Machine, Role> _roles = [];
    private readonly List<Tenure> _tenures = [];
    private readonly Lock _lock = new();
    private readonly Task[] _watching;

    internal Roles(IReadOnlyList<RedisNode> nodes) => _watching = [.. nodes.Select(WatchAsync)];

    internal IReadOnlyList<Tenure> Tenures
    {
        get
        {
            lock (_lock)
            {
                return [.. _tenures];
            }
        }
    }

    /// <summary>What the node said within the last second; null when it said nothing.</summary>
    internal Role? Of(Machine node)
    {
        lock (_lock)
        {
            return _roles.TryGetValue(node, out Role? role) && WallClock.Now - role.At < Deadline ? role : null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_watching);
        _stop.Dispose();
    }

    private async Task WatchAsync(RedisNode node)
    {
        RedisWire? wire = null;
        Role? before = null;
        try
        {
            while (true)
            {
                using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
                deadline.CancelAfter(Deadline);
                try
                {
                    wire ??= await RedisWire.ConnectAsync(node.Machine.Address, node.Port, ct: deadline.Token);
                    DateTime asked = WallClock.Now;
                    RedisReply reply = await wire.CommandAsync(["ROLE"], deadline.Token);
                    Role role = reply[0].Text == "master"
                        ? new Role(asked, null, true, Number(reply[1]))
                        : new Role(asked, $"{reply[1].Text}:{reply[2].Text}", reply[3].Text == "connected", Number(reply[4]));
                    lock (_lock)
                    {
                        _roles[node.Machine] = role;
                        if (role.Follows is null && before is not { Follows: null })
                        {
                            _tenures.Add(new Tenure(before?.At ?? asked, node.Machine));
                        }
                    }

                    before = role;
                }
                catch (Exception e) when (e is SocketException or IOException or RedisErrorException
                    || (e is OperationCanceledException && !_stop.IsCancellationRequested))
                {
                    if (wire is not null)
                    {
                        await wire.DisposeAsync();
                        wire = null;
                    }
                }

                await Task.Delay(Interval, _stop.Token);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The run is over.
        }
        finally
        {
            if (wire is not null)
            {
                await wire.DisposeAsync();
            }
        }
    }

    private static long Number(RedisReply reply) => long.Parse(reply.Text!, System.Globalization.CultureInfo.InvariantCulture);
}
