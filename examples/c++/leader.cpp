/*
 * libelection in C++: leader NAME [REDIS_URL,...]. Leadership as an object: it stands from its construction to its
 * destruction, and calls a function while it leads.
 *
 *     c++ -std=c++17 leader.cpp -o leader $(pkg-config --cflags --libs election)
 */
#include <chrono>
#include <csignal>
#include <cstdint>
#include <election.h>
#include <exception>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

class Leadership
{
  public:
    /* A view of the context that the library gives; good until the work returns. */
    class Term
    {
      public:
        explicit Term(election_context *from) : context(from) {}
        std::uint64_t token() const
        {
            return election_context_token(context);
        }
        /* Waits; false: the leadership is over, return. */
        bool lasts(std::chrono::milliseconds wait) const
        {
            return election_context_wait(context, wait.count()) == ELECTION_TIMEOUT;
        }

      private:
        election_context *context;
    };
    using Work = std::function<void(const Term &)>;

    /* Texts of the configuration are copied. Throws std::runtime_error with what is wrong, and what would be right. */
    Leadership(election_config config, Work to_do) : work(std::move(to_do))
    {
        char words[ELECTION_WORDS_BYTES];
        config.on_start = start;
        config.user = this;
        if (election_run(&handle, &config, words, sizeof words) != ELECTION_OK) {
            throw std::runtime_error(words);
        }
    }
    ~Leadership()
    {
        election_free(handle);
    }
    Leadership(const Leadership &) = delete;
    Leadership &operator=(const Leadership &) = delete;

  private:
    /* No exception may pass through the library's C: it ends the leadership instead. */
    static int start(void *user, election_context *context) noexcept
    {
        try {
            static_cast<Leadership *>(user)->work(Term(context));
            return 0;
        } catch (const std::exception &error) {
            std::cerr << error.what() << std::endl;
            return 1;
        }
    }

    Work work;
    election *handle = nullptr;
};

int main(int argc, char **argv)
try {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, nullptr); // for sigwait() below

    election_config config;
    election_config_init(&config);
    config.project = "cplusplus";
    config.node_id = argc > 1 ? argv[1] : nullptr;
    config.redis_urls = argc > 2 ? argv[2] : "redis://127.0.0.1:6379";
    Leadership leadership(config, [](const Leadership::Term &term) {
        std::cout << "leading with token " << term.token() << std::endl;
        while (term.lasts(std::chrono::seconds(1))) {
            // work, in steps much shorter than the lease
        }
        std::cout << "leading no more" << std::endl;
    });
    int ended;
    sigwait(&ends, &ended);
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
