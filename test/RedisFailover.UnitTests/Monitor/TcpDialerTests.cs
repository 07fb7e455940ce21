using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.Shared;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>Connecting by name, on the loopback device: 127.0.0.2 and 127.0.0.3 are addresses of this machine as well.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class TcpDialerTests
{
    private static readonly TimeSpan s_long = TimeSpan.FromSeconds(30);
    private static readonly IPAddress s_first = IPAddress.Parse("127.0.0.2"), s_second = IPAddress.Parse("127.0.0.3");

    [Test]
    public async Task An_address_that_swallows_packets_delays_nobody_and_is_tried_last_afterwards()
    {
        using var deaf = new Deaf(s_first);
        using var listener = new TcpListener(s_second, deaf.Port);
        listener.Start();
        var names = new HostAddresses(TimeProvider.System, (_, _) => Task.FromResult<IPAddress[]>([s_first, s_second]));

        Dialed dialed = await new TcpDialer(names, TimeProvider.System).ConnectAsync("redis", deaf.Port, s_long, default).WithinDeadline();
        Assert.That(dialed.EndPoint, Is.EqualTo(new IPEndPoint(s_second, deaf.Port)), dialed.Detail);
        dialed.Socket!.Dispose();
        Assert.That((await names.FindAsync("redis", default)).Addresses[0], Is.EqualTo(s_second));
    }

    [Test]
    public async Task A_name_of_which_one_address_is_silent_and_the_other_refuses_is_silent()
    {
        using var deaf = new Deaf(s_first);
        var names = new HostAddresses(TimeProvider.System, (_, _) => Task.FromResult<IPAddress[]>([s_second, s_first]));

        Dialed dialed = await new TcpDialer(names, TimeProvider.System)
            .ConnectAsync("redis", deaf.Port, TimeSpan.FromMilliseconds(200), default).WithinDeadline();
        Assert.That(dialed.Fault, Is.EqualTo(DialFault.Silent), dialed.Detail);
    }

    [Test]
    public async Task A_name_server_that_hangs_costs_the_time_given_and_no_more_where_nothing_is_known()
    {
        var hanging = new TaskCompletionSource<IPAddress[]>();
        int asked = 0;
        var names = new HostAddresses(TimeProvider.System, (_, _) =>
        {
            asked++;
            return hanging.Task;
        });
        var dialer = new TcpDialer(names, TimeProvider.System);

        Dialed first = await dialer.ConnectAsync("redis", 6379, TimeSpan.FromMilliseconds(100), default).WithinDeadline();
        Dialed second = await dialer.ConnectAsync("redis", 6379, TimeSpan.FromMilliseconds(100), default).WithinDeadline();
        Assert.Multiple(() =>
        {
            Assert.That((first.Fault, second.Fault), Is.EqualTo((DialFault.Local, DialFault.Local)), "it proves nothing about the node");
            Assert.That(asked, Is.EqualTo(1), "each question holds a thread as long as the name server hangs");
        });
    }

    [Test]
    public async Task The_last_address_known_is_used_while_the_name_server_hangs()
    {
        using var listener = new TcpListener(s_first, 0);
        listener.Start();
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var time = new ManualTime();
        var hanging = new TaskCompletionSource<IPAddress[]>();
        int asked = 0;
        var names = new HostAddresses(time, (_, _) => ++asked == 1 ? Task.FromResult<IPAddress[]>([s_first]) : hanging.Task);
        var dialer = new TcpDialer(names, time);
        (await dialer.ConnectAsync("redis", port, s_long, default).WithinDeadline()).Socket!.Dispose();

        time.Advance(TimeSpan.FromMinutes(1));
        Task<Dialed> again = dialer.ConnectAsync("redis", port, s_long, default);
        await time.AdvanceUntil(TimeSpan.FromMilliseconds(10), () => again.IsCompleted);
        (await again).Socket!.Dispose();

        // Whoever comes while it still hangs does not wait at all.
        TimeSpan at = TimeSpan.FromTicks(time.GetTimestamp());
        (await dialer.ConnectAsync("redis", port, s_long, default).WithinDeadline()).Socket!.Dispose();
        Assert.That((TimeSpan.FromTicks(time.GetTimestamp()) - at, asked), Is.EqualTo((TimeSpan.Zero, 2)));
    }

    [Test]
    public async Task What_this_machine_cannot_do_is_no_fault_of_the_node()
    {
        // A reserved network (240.0.0.0/4) has no route: the answer is this machine's own.
        Dialed dialed = await new TcpDialer(new HostAddresses(TimeProvider.System), TimeProvider.System)
            .ConnectAsync("255.255.255.255", 6379, s_long, default).WithinDeadline();
        Assert.That(dialed.Fault, Is.EqualTo(DialFault.Local), dialed.Detail);
    }

    /// <summary>
    /// Listens and never accepts, its queue full: what connects to it gets no answer, as behind a wall that swallows packets.
    /// </summary>
    private sealed class Deaf : IDisposable
    {
        private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        private readonly List<Socket> _queue = [];

        internal Deaf(IPAddress address)
        {
            _listener.Bind(new IPEndPoint(address, 0));
            _listener.Listen(0);
            Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
            for (int i = 0; i < 4; i++)
            {
                var caller = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Blocking = false };
                _queue.Add(caller);
                try
                {
                    caller.Connect(address, Port);
                }
                catch (SocketException)
                {
                    // Under way, or held up already.
                }
            }
        }

        internal int Port { get; }

        public void Dispose()
        {
            _queue.ForEach(caller => caller.Dispose());
            _listener.Dispose();
        }
    }
}
