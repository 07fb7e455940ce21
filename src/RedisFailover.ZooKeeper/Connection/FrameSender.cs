using System.Net.Sockets;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Frames out. Writers append to the buffer that fills while the other one is being sent, so that concurrent requests share a system call.
/// </summary>
/// <param name="stream">Where to.</param>
/// <param name="gate">The connection's lock. It is held by whoever appends or begins to send.</param>
/// <param name="time">The source of time.</param>
/// <param name="lost">Called when the stream fails, with why.</param>
internal sealed class FrameSender(Stream stream, Lock gate, TimeProvider time, Action<string> lost)
{
    private JuteWriter _filling = new();
    private JuteWriter _sending = new();
    private bool _closed;

    /// <summary>What is sent next. To be written to under the lock.</summary>
    internal JuteWriter Filling => _filling;

    /// <summary>Whether somebody is sending, who will take along what is appended.</summary>
    internal bool IsSending { get; private set; }

    /// <summary>When the last sending began.</summary>
    internal long LastSend { get; private set; } = time.GetTimestamp();

    /// <summary>Nothing more is sent. Under the lock.</summary>
    internal void Close() => _closed = true;

    /// <summary>Under the lock: whoever gets true calls <see cref="SendAsync"/> after it.</summary>
    internal bool TryBegin()
    {
        if (IsSending || _closed || _filling.Length == 0)
        {
            return false;
        }

        Begin();
        return true;
    }

    /// <summary>Sends until nothing is left. Does not throw.</summary>
    internal async Task SendAsync()
    {
        try
        {
            // The first write happens on the caller's thread and normally completes there. What others append meanwhile is sent from
            // the thread pool: nobody is kept busy with the requests of others.
            await stream.WriteAsync(_sending.Written).ConfigureAwait(false);
            while (GoesOn())
            {
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                await stream.WriteAsync(_sending.Written).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            lost(e.Message);
        }
    }

    private void Begin()
    {
        IsSending = true;
        (_filling, _sending) = (_sending, _filling);
        LastSend = time.GetTimestamp();
    }

    private bool GoesOn()
    {
        lock (gate)
        {
            _sending.Clear();
            if (_filling.Length == 0 || _closed)
            {
                IsSending = false;
                return false;
            }

            Begin();
            return true;
        }
    }
}
